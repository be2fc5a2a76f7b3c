"""LaTeX with booktabs: one `table` environment for each table."""

from benchmark.report.table import Cell, Report

SYMBOLS = str.maketrans(
    {
        **{symbol: rf"\{symbol}" for symbol in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "–": "--", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$",
        "≥": r"$\geq$", "<": r"$<$", ">": r"$>$",
    }
)  # fmt: skip


def render(report: Report, width: int) -> str:
    """The report as LaTeX; needs the package booktabs."""
    parts = [f"% {line}" for line in (report.title, report.text) if line]
    for table in report.tables:
        heading = [
            r"\shortstack{" + r"\\".join(map(escape, column.heading)) + "}"
            if len(column.heading) > 1
            else escape(column.heading[0])
            for column in table.columns
        ]
        kinds = "".join("l" if column.kind == "text" else "r" for column in table.columns)
        rows = [" & ".join(map(marked, row)) + r" \\" for row in table.cells()]
        parts += [r"\begin{table}", r"\centering"]
        parts += [rf"\caption{{{escape(table.title)}}}"] if table.title else []
        parts += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", " & ".join(heading) + r" \\"]
        parts += [r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
        parts += [r"\par\footnotesize " + escape(note) for note in table.notes]
        parts += [r"\end{table}", ""]
    return "\n".join(parts)


def marked(cell: Cell) -> str:
    """A cell, its main part in bold if it is the best of its column."""
    rest = f" {escape(cell.rest)}" if cell.rest else ""
    main = escape(cell.main)
    return (rf"\textbf{{{main}}}" if cell.bold else main) + rest


def escape(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return text.translate(SYMBOLS)

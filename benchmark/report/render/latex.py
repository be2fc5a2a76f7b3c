"""LaTeX with booktabs."""

from benchmark.report.render.markdown import marked
from benchmark.report.table import Report

LATEX = str.maketrans(
    {
        **{symbol: rf"\{symbol}" for symbol in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "–": "--", "−": "$-$", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
        "·": r"$\cdot$", "≥": r"$\geq$", "<": r"$<$", ">": r"$>$",
    }
)  # fmt: skip


def as_latex(report: Report) -> str:
    """One `table` environment for each table; needs the package booktabs."""
    parts = [f"% {line}" for line in (report.title, report.text) if line]
    for table in report.tables:
        headings = [r"\\".join(h.translate(LATEX) for h in c.heading) for c in table.columns]
        headings = [rf"\shortstack{{{h}}}" if r"\\" in h else h for h in headings]
        kinds = "".join("l" if column.kind == "text" else "r" for column in table.columns)
        cells = [[marked(cell, r"\textbf{{{}}}", LATEX) for cell in row] for row in table.cells()]
        parts += [r"\begin{table}", r"\centering"]
        parts += [rf"\caption{{{table.title.translate(LATEX)}}}"] if table.title else []
        parts += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", " & ".join(headings) + r" \\"]
        parts += [r"\midrule", *(" & ".join(row) + r" \\" for row in cells), r"\bottomrule"]
        parts += [r"\end{tabular}"]
        parts += [r"\par\footnotesize " + note.translate(LATEX) for note in table.notes]
        parts += [r"\end{table}", ""]
    return "\n".join(parts)

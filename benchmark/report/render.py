"""Reports as text: CSV, JSON, LaTeX, Markdown, and for the terminal `benchmark.report.terminal`."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from shutil import get_terminal_size
from typing import Any

from benchmark.core import unknown
from benchmark.report import terminal
from benchmark.report.table import Cell, Noted, Report, Value
from benchmark.stats.seeds import Estimate

MARKDOWN = str.maketrans({"|": r"\|", "\n": " "})
LATEX = str.maketrans(
    {
        **{symbol: rf"\{symbol}" for symbol in "&%$#_{}"},
        "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
        "–": "--", "±": r"$\pm$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "·": r"$\cdot$",
        "≥": r"$\geq$", "<": r"$<$", ">": r"$>$",
    }
)  # fmt: skip


def render(report: Report, form: str = "terminal", width: int | None = None) -> str:
    """The report in a format; only the terminal's depends on the width, by default the screen's."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if form == "terminal":
        return terminal.render(report, width or get_terminal_size().columns)
    return RENDERERS[form](report)


def as_csv(report: Report) -> str:
    """One line per row, missing and undefined values empty.

    Parts of an estimate have columns of their own. Several tables share one file: their titles are
    the column `table`.
    """
    lines = []
    for table in report.tables:
        for row in table.rows:
            line: dict[str, Any] = {"table": table.title} if len(report.tables) > 1 else {}
            for column, value in zip(table.columns, row, strict=True):
                for part, content in fields(value, undefined=None).items():
                    is_main = part in ("score", "value")
                    line[column.name if is_main else f"{column.name} {part}"] = content
            lines.append(line)
    stream = io.StringIO()
    names = dict.fromkeys(name for line in lines for name in line)
    writer = csv.DictWriter(stream, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue().rstrip("\n")


def as_json(report: Report) -> str:
    """Typed values, for programs.

        {"title", "text", "tables": [{"title", "notes", "columns": [{"name", "detail", "kind",
         "higher_is_better"}], "rows": [[value, ...], ...]}]}

    A value is a text or number; an estimate {"score", "low", "high", "sd", "seeds"}; a value with
    a remark {"value", "note"}; missing: null; undefined: "undefined".
    """
    kept = ("name", "detail", "kind", "higher_is_better")
    tables = [
        {
            "title": table.title,
            "notes": list(table.notes),
            "columns": [{name: getattr(column, name) for name in kept} for column in table.columns],
            "rows": [
                [parts["value"] if len(parts) == 1 else parts for parts in row]
                for row in ([fields(value, "undefined") for value in row] for row in table.rows)
            ],
        }
        for table in report.tables
    ]
    whole = {"title": report.title, "text": report.text, "tables": tables}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)


def fields(value: Value, undefined: str | None) -> dict[str, Any]:
    """A value and what qualifies it, by name; `undefined` stands for NaN."""
    if isinstance(value, Estimate):
        low, high = value.interval or (None, None)
        rest = {"low": low, "high": high, "sd": value.sd, "seeds": value.seeds}
        parts: dict[str, Any] = {"score": value.score, **rest}
    else:
        parts = value._asdict() if isinstance(value, Noted) else {"value": value}
    return {name: part if part == part else undefined for name, part in parts.items()}


def as_markdown(report: Report) -> str:
    """GitHub's Markdown: a heading and a table each, notes below."""
    parts = [f"# {report.title}"] if report.title else []
    parts += [report.text] if report.text else []
    for table in report.tables:
        parts += [f"## {table.title}"] if table.title else []
        rule = ["---" if column.kind == "text" else "---:" for column in table.columns]
        heading = ["<br>".join(column.heading).translate(MARKDOWN) for column in table.columns]
        cells = [[marked(cell, "**{}**", MARKDOWN) for cell in row] for row in table.cells()]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in (heading, rule, *cells)))
        parts += table.notes
    return "\n\n".join(parts)


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


def marked(cell: Cell, bold: str, symbols: Mapping[int, str]) -> str:
    """A cell with its symbols escaped, its main part in bold if it is the best of its column."""
    main = cell.main.translate(symbols)
    return f"{bold.format(main) if cell.bold else main} {cell.rest.translate(symbols)}".strip()


RENDERERS: dict[str, Callable[[Report], str]] = {
    "csv": as_csv, "json": as_json, "latex": as_latex, "markdown": as_markdown,
}  # fmt: skip
FORMATS = (*RENDERERS, "terminal")

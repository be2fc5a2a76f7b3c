"""GitHub's Markdown."""

from collections.abc import Mapping

from benchmark.report.table import Cell, Report

MARKDOWN = str.maketrans({"|": r"\|", "\n": " "})


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


def marked(cell: Cell, bold: str, symbols: Mapping[int, str]) -> str:
    """A cell with its symbols escaped, its main part in bold if it is the best of its column."""
    main = cell.main.translate(symbols)
    return f"{bold.format(main) if cell.bold else main} {cell.rest.translate(symbols)}".strip()

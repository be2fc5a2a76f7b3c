"""GitHub's Markdown: a heading and a table each, notes below."""

from benchmark.report.table import Cell, Report


def render(report: Report, width: int) -> str:
    """The report as Markdown."""
    parts = [f"# {report.title}"] if report.title else []
    parts += [report.text] if report.text else []
    for table in report.tables:
        parts += [f"## {table.title}"] if table.title else []
        rule = ["---" if column.kind == "text" else "---:" for column in table.columns]
        heading = ["<br>".join(map(escape, column.heading)) for column in table.columns]
        rows = [heading, rule, *(map(marked, row) for row in table.cells())]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
        parts += table.notes
    return "\n\n".join(parts)


def marked(cell: Cell) -> str:
    """A cell, its main part in bold if it is the best of its column."""
    return escape(f"**{cell.main}** {cell.rest}".strip() if cell.bold else str(cell))


def escape(text: str) -> str:
    """Text within a table's cell."""
    return text.replace("|", r"\|").replace("\n", " ")

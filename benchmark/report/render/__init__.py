"""Renders a report: one format a file; a new one is a function in `RENDERERS`.

It may import `report.table` alone.
"""

from collections.abc import Callable
from shutil import get_terminal_size

from benchmark.core import unknown
from benchmark.report.render import data, latex, markdown, terminal
from benchmark.report.table import Report

RENDERERS: dict[str, Callable[[Report], str]] = {
    "csv": data.as_csv,
    "json": data.as_json,
    "latex": latex.as_latex,
    "markdown": markdown.as_markdown,
}
FORMATS = (*RENDERERS, "terminal")


def render(report: Report, form: str = "terminal", width: int | None = None) -> str:
    """The report in a format; only the terminal's depends on the width, by default the screen's."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    if form == "terminal":
        return terminal.render(report, width or get_terminal_size().columns)
    return RENDERERS[form](report)

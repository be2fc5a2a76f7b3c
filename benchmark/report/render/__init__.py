"""Reports as text: one format per file, `render(report, width)`; the file's name is the format."""

from importlib import import_module
from pkgutil import iter_modules
from shutil import get_terminal_size

from benchmark.core import unknown
from benchmark.report.table import Report

FORMATS = tuple(sorted(module.name for module in iter_modules(__path__)))


def render(report: Report, form: str = "terminal", width: int | None = None) -> str:
    """The report in a format; only the terminal's depends on the width, by default the screen's."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    renderer = import_module(f"{__name__}.{form}")
    text: str = renderer.render(report, width or get_terminal_size().columns)
    return text

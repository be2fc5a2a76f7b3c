"""The words after a verb."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmark.report.render import render
from benchmark.report.table import Report


class Request(NamedTuple):
    """The words after a verb."""

    options: Mapping[str, str]
    words: Sequence[str]
    """As given, for `benchmark.cli.compose`; without config_dir and format."""
    folders: Sequence[Path]
    """The user's own folder of yaml files, if there is one."""

    def show(self, report: Report) -> None:
        """Print a report in the format that format= names."""
        print(render(report, self.options.get("format", "terminal")))

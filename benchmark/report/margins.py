"""The margins of the gate: losses of a score that count as none."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.core import UserError
from benchmark.report.suites import built_in, read

KINDS = ("absolute", "relative")
KEYS = (*KINDS, "flips")


class Margin(NamedTuple):
    """The margin of the metrics that a pattern fits."""

    pattern: str
    size: float
    relative: bool
    """Whether the size is a share of the baseline's score."""


class Margins(NamedTuple):
    """The margins, of which the first that fits counts."""

    margins: Sequence[Margin]
    flips: float
    """Share of changed classes above which no task passes."""

    def of(self, metric: str, score: float) -> float | None:
        """The margin of a metric, where the baseline has this score; None: there is none."""
        fitting = (margin for margin in self.margins if fnmatchcase(metric, margin.pattern))
        if found := next(fitting, None):
            return found.size * abs(score) if found.relative else found.size
        return None


def read_margins(file: Path | None) -> Margins:
    """The margins of a user's own file, and of conf/gate/default.yaml where it has none."""
    usual = parse(built_in() / "gate" / "default.yaml")
    if file is None:
        return Margins(*usual)
    if not file.is_file():
        raise UserError(f"margins={file} is not a file; give a yaml like conf/gate/default.yaml")
    own, flips = parse(file)
    return Margins([*own, *usual[0]], flips or usual[1])


def parse(file: Path) -> tuple[list[Margin], float]:
    """The margins of a file, and its largest share of flips, 0 without one."""
    values = read(file)
    for key in values:
        if key not in KEYS or (key in KINDS and not isinstance(values[key], Mapping)):
            raise UserError(
                f"{file}: {key} is not known or no mapping; give absolute: {{METRIC: NUMBER}}, "
                "relative: {METRIC: NUMBER} and flips: NUMBER"
            )
    found = [
        Margin(str(pattern), positive(size, f"{file}: {pattern}"), kind == "relative")
        for kind in KINDS
        for pattern, size in values.get(kind, {}).items()
    ]
    flips = positive(values["flips"], f"{file}: flips") if "flips" in values else 0.0
    return found, flips


def positive(value: Any, what: str) -> float:
    """A finite number above 0."""
    if type(value) not in (int, float) or not 0 < value < float("inf"):
        raise UserError(f"{what} is {value}; give a number above 0")
    return float(value)

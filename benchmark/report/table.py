"""Tables of typed values, whatever format they are rendered to; numbers stay numbers."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Literal, NamedTuple

from benchmark.stats.paired import Difference
from benchmark.stats.seeds import Estimate

ARROWS = {True: " ↑", False: " ↓", None: ""}
"""The better direction."""
MINUS_ZERO = re.compile(r"-(?=0\.0*(?!\d))")
"""The sign of a zero that is rounded."""


class Noted(NamedTuple):
    """A value with a remark: a published score, or the reason why there is none. Never ranked."""

    value: float | None
    note: str


Value = str | int | float | Estimate | Noted | None
"""None: missing; NaN: undefined."""


class Cell(NamedTuple):
    """A value as text: the main part, which may be bold, and what follows it."""

    main: str
    rest: str
    bold: bool

    def __str__(self) -> str:
        """Both parts, without emphasis."""
        return f"{self.main} {self.rest}".strip()


@dataclass(frozen=True)
class Column:
    """What the values of a column are, and how they are shown."""

    name: str
    kind: Literal["text", "count", "number", "scientific", "share", "score", "p"] = "text"
    digits: int = 3
    higher_is_better: bool | None = None
    detail: str = ""
    """Second line of the heading."""
    bold_best: bool = False

    @property
    def heading(self) -> list[str]:
        """Name with direction, or name and detail."""
        bare = [self.name + ARROWS[self.higher_is_better]]
        return [self.name, self.detail] if self.detail else bare

    def parts(self, value: Value) -> tuple[str, str]:
        """The main part of a value, and the interval or remark after it."""
        if isinstance(value, Estimate):
            main, rest = value.parts(self.digits)
            return MINUS_ZERO.sub("", main), MINUS_ZERO.sub("", rest)
        if isinstance(value, Noted):
            return self.parts(value.value)[0], f"({value.note})" if value.note else ""
        if value is None or isinstance(value, str):
            return "–" if value is None else value, ""
        forms = {"count": ",", "number": f"z,.{self.digits}f", "scientific": f".{self.digits}e"}
        if self.kind == "p" and value < 10**-self.digits:
            return f"<{10**-self.digits:.{self.digits}f}", ""
        form = {**forms, "p": forms["number"], "share": f".{self.digits}%"}.get(
            self.kind, "g"
        )  # g: a published score
        return "undefined" if isnan(value) else format(value, form), ""


@dataclass(frozen=True)
class Table:
    """Rows of raw values under typed columns."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    notes: Sequence[str] = ()
    names: int = 1
    """The first columns, which name a row."""
    highlighted: str = ""
    """First cell of the row that the reader looks for."""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.title!r}: a row does not fit the columns")

    def ranked(self, *names: str) -> "Table":
        """The same rows, best first by these columns in turn; missing and undefined ones last."""
        places = [place for n in names for place, c in enumerate(self.columns) if c.name == n]

        def order(row: Sequence[Value]) -> list[tuple[bool, float]]:
            values = [(self.columns[place], measured(row[place])) for place in places]
            return [(v != v, 0.0 if v != v else -v if c.higher_is_better else v) for c, v in values]

        return replace(self, rows=sorted(self.rows, key=order))

    def cells(self) -> list[list[Cell]]:
        """Every value as text, the best of a column in bold where the column says so."""
        best = [self.best(place) for place in range(len(self.columns))]
        return [
            [
                Cell(*c.parts(value), bold=round(measured(value), c.digits) == top)
                for c, value, top in zip(self.columns, row, best, strict=True)
            ]
            for row in self.rows
        ]

    def best(self, place: int) -> float | None:
        """The best value of a column as shown, None if it has none or is not to be marked."""
        column = self.columns[place]
        found = [measured(row[place]) for row in self.rows] if column.bold_best else []
        known = [round(value, column.digits) for value in found if not isnan(value)]
        return (max if column.higher_is_better else min)(known) if known else None


class Report(NamedTuple):
    """Tables under one title."""

    tables: Sequence[Table]
    title: str = ""
    text: str = ""


def estimated(difference: Difference) -> Estimate:
    """A difference and its interval."""
    return Estimate(difference.value, None, difference.interval, 1)


def measured(value: Value) -> float:
    """The number that ranks; NaN: missing, undefined, or not measured here."""
    if isinstance(value, Estimate):
        return value.score
    return float(value) if isinstance(value, int | float) else nan

"""Tables of a comparison: of two models a row for each task, of more a matrix for each task."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from benchmark.report.cells import headings
from benchmark.report.comparison import Line, read
from benchmark.report.examples import scatter, values
from benchmark.report.resampled import over_tasks, without_mean
from benchmark.report.selection import Selected
from benchmark.report.table import ARROWS, Column, Noted, Report, Table, Value, estimated
from benchmark.stats.multiplicity import ALPHA
from benchmark.stats.paired import Resampled, difference

STARS = {0.001: "***", 0.01: "**", ALPHA: "*"}
MOST = 5
"""Examples that are listed of each direction."""
TEXT = (
    "Differences between scores on the same test examples, paired over resampling units, with 95 % "
    "intervals of Student's t. A model with one seed is compared as that run.{correction}"
)
CORRECTED = (
    " * p < 0.05, ** 0.01, *** 0.001, after Holm's correction over the ranking scores: "
    "{count} in all."
)
UNCORRECTED = " p-values are not corrected for their number."
EXPLAINED = {
    "FDR p": "p corrected by the method of Benjamini and Hochberg",
    "detectable": "the smallest difference detected with a power of 80 %",
    "flips": "share of answers whose class differs",
    "error r": "rank correlation of the two models' values or errors",
}
"""What columns of two models are."""


def report(models: Sequence[str], lines: Sequence[Line], notes: Sequence[str]) -> Report:
    """All tables of a comparison."""
    tested = [line for line in lines if line.ranks]
    count = sum(line.holm is not None for line in tested)
    text = TEXT.format(correction=CORRECTED.format(count=count) if count else UNCORRECTED)
    if len(models) > 2:
        return Report([outcomes(models, tested, notes), *matrices(lines)], "Comparison", text)
    won = [line.outcome for line in tested]
    what = "tasks" if len({line.column.task for line in tested}) == len(won) else "comparisons"
    verdict = (
        f"{models[0]} is better than {models[1]} in {won.count(1)}, worse in {won.count(-1)} and "
        f"tied in {won.count(0)} of {len(won)} {what} (Holm p < {ALPHA})"
    )
    table, means = of_two(models, lines, [*([verdict] if won else []), *notes]), areas(tested)
    columns = [column.name for column in table.columns]
    text += "".join(
        f" {name[0].upper()}{name[1:]}: {what}."
        for name, what in EXPLAINED.items()
        if name in columns
    )
    tables = [table, means] if means.rows or means.notes else [table]
    return Report(tables, " − ".join(models), text)


def stars(line: Line) -> str:
    """How small the corrected p-value is."""
    return next(
        (s for level, s in STARS.items() if line.holm is not None and line.holm < level), ""
    )


def of_two(models: Sequence[str], lines: Sequence[Line], notes: Sequence[str]) -> Table:
    """A row for each task, test set, metric and stratum."""
    named = headings(list(dict.fromkeys(line.column for line in lines)))
    several = len({(line.column, line.test) for line in lines}) > len(named)
    columns: list[tuple[Column, Callable[[Line], Value]]] = [
        (Column("task"), lambda x: named[x.column]),
        (Column("metric"), lambda x: x.metric + ARROWS[x.higher_is_better]),
        (Column("test"), lambda x: x.test if several else None),
        (Column("stratum"), lambda x: x.stratum or None),
        (Column(models[0], "number"), lambda x: x.scores[0]),
        (Column(models[1], "number"), lambda x: x.scores[1]),
        (Column("difference", "score"), lambda x: estimated(x.difference)),
        (Column("p", "p", 4), lambda x: x.difference.p),
        (Column("Holm p", "p", 4), lambda x: x.holm),
        (Column("stars"), stars),
        (Column("FDR p", "p", 4), lambda x: x.fdr),
        (Column("detectable", "number"), lambda x: x.difference.detectable),
        (Column("units", "count"), lambda x: x.difference.units),
        (Column("flips", "share", 1), lambda x: x.flips),
        (Column("error r", "number", 2), lambda x: x.error_r),
    ]
    shown = [
        (c, value) for c, value in columns if any(value(line) not in (None, "") for line in lines)
    ]
    rows = [[value(line) for _, value in shown] for line in lines]
    names = sum(column.name in ("task", "metric", "test", "stratum") for column, _ in shown)
    return Table("Differences", [column for column, _ in shown], rows, notes, names=names)


def areas(tested: Sequence[Line]) -> Table:
    """The mean difference of each area and method, over its tasks where higher is better."""
    parts = defaultdict[tuple[str, str], list[dict[str, Resampled]]](list)
    rows, notes = list[list[Value]](), list[str]()
    for line in tested:
        if line.higher_is_better:
            sides = dict(zip(line.pair, line.sides, strict=True))
            parts[line.column.area, line.column.method].append(sides)
    several = len({method for _, method in parts}) > 1
    for place, found in parts.items():
        means, unequal = over_tasks(found)
        named = " · ".join(place[: 1 + several])
        if len(means) == 2 and len(found) > 1:
            d = difference(*means.values())
            rows.append([named, len(found), estimated(d), d.p])
        notes += [f"{named}: {note}" for note in without_mean(unequal) if len(found) > 1]
    columns = [Column("area"), Column("tasks", "count"), Column("mean difference", "score")]
    columns.append(Column("p", "p", 4))
    title = "Means over the tasks of an area in which higher is better"
    return Table(title, columns, rows, notes)


def outcomes(models: Sequence[str], tested: Sequence[Line], notes: Sequence[str]) -> Table:
    """Against each model the numbers of tasks in which a model is better, tied and worse."""
    found = defaultdict[str, dict[str, list[int]]](lambda: defaultdict(list))
    for line in tested:
        for (a, b), outcome in ((line.pair, line.outcome), (line.pair[::-1], -line.outcome)):
            found[a][b].append(outcome)

    def counts(outcomes: Sequence[int]) -> list[int]:
        return [outcomes.count(value) for value in (1, 0, -1)]

    rows = list[list[Value]]()
    for a in models:
        against = ["–".join(map(str, counts(found[a][b]))) if a != b else None for b in models]
        rows.append([a, *counts(list(chain(*found[a].values()))), *against])
    directions = {"wins": True, "ties": None, "losses": False}
    total = [Column(name, "count", higher_is_better=d) for name, d in directions.items()]
    columns = [Column("model"), *total, *(Column(f"against {b}") for b in models)]
    title = "Wins–ties–losses over tasks and methods: row against column"
    return Table(title, columns, rows, notes).ranked("wins", "losses")


def matrices(lines: Sequence[Line]) -> list[Table]:
    """For each task, test set, metric and stratum the differences, row minus column."""
    named = headings(list(dict.fromkeys(line.column for line in lines)))
    groups, tables = defaultdict[str, list[Line]](list), list[Table]()
    for line in lines:
        parts = [line.test, line.stratum] if not line.ranks else []
        metric = line.metric + ARROWS[line.higher_is_better]
        groups[" · ".join(filter(None, [named[line.column], metric, *parts]))].append(line)
    for title, group in groups.items():
        cells, scores = dict[tuple[str, str], Value](), dict[str, float]()
        for line in group:
            value, note = line.difference.value, stars(line)
            cells[line.pair], cells[line.pair[::-1]] = Noted(value, note), Noted(-value, note)
            scores |= dict(zip(line.pair, line.scores, strict=True))
        score = Column("score", "number", higher_is_better=group[0].higher_is_better)
        columns = [Column("model"), score, *(Column(f"− {b}", "number") for b in scores)]
        rows = [[a, scores[a], *(cells.get((a, b)) for b in scores)] for a in scores]
        tables.append(Table(title, columns, rows).ranked("score"))
    return tables


def figures(sides: Sequence[Selected], lines: Sequence[Line], folder: Path) -> Table:
    """Draw one of two models against the other for each task; the examples that differ most."""
    names, rows = [side.name for side in sides], list[list[Value]]()
    named = headings(list(dict.fromkeys(line.column for line in lines)))
    for line in lines:
        runs = [read(side, line.column)[0] for side in sides]
        if not line.ranks or not (pair := values(runs, line.test, line.metric)):
            continue
        known = [run.table.columns["band"] for run in runs if "band" in run.table.columns]
        bands = [known[0][row] if known else "" for row in pair.rows]
        name = re.sub(r"[^\w.-]+", "_", "_".join([named[line.column], *names]))
        scatter(pair, bands, names, named[line.column], folder / f"{name}.png")
        order = np.argsort(pair.b - pair.a, kind="stable").tolist()
        for at in dict.fromkeys([*order[:MOST], *order[-MOST:]]):
            a, b = float(pair.a[at]), float(pair.b[at])
            example = runs[0].table.columns["id"][pair.rows[at]]
            rows.append([named[line.column], example, pair.what, a, b, a - b])
    columns = [Column("task"), Column("id"), Column("value of")]
    columns += [Column(name, "number") for name in (*names, "difference")]
    return Table(f"Examples that differ most; figures are in {folder}", columns, rows, names=2)

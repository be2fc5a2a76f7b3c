"""Comparison of models by their stored predictions: a line for each task, metric and pair."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, UserError, unknown
from benchmark.data.homology import BANDS
from benchmark.report.cells import TaskColumn
from benchmark.report.examples import aligned, flipped, rank_correlation
from benchmark.report.resampled import StoredRun, resampled
from benchmark.report.selection import Selected, common_columns
from benchmark.results.record import Record
from benchmark.stats.paired import Difference, difference

LEVEL = 0.05
RANKING, ALL = "ranking", "all"
LENGTHS = (100, 200, 400, 800)
"""Edges of the bins by length, in residues."""
MOST_STRATA = 20
MOST_MODELS = 30
Runs = Mapping[int, Sequence[StoredRun]]
"""Place of a model -> its runs with all seeds."""


class WithoutStrata(UserError):
    """A task is not divided into the strata that are wanted."""


class Line(NamedTuple):
    """The difference between two models on one metric of a test set."""

    column: TaskColumn
    test: str
    metric: str
    stratum: str
    """Of the test set; "" for all of it."""
    higher_is_better: bool | None
    ranks: bool
    """Whether it is the whole score that ranks the task."""
    pair: tuple[int, int]
    """Places of the two models."""
    scores: tuple[float, float]
    difference: Difference
    flips: float | None = None
    """Share of answers whose predicted class differs."""
    error_r: float | None = None
    """Rank correlation of the two models' errors."""

    def outcome(self, p: float | None) -> int:
        """1 if the first model is better at this p-value, -1 if it is worse, 0 if neither is."""
        if p is None or p >= LEVEL:
            return 0
        return 1 if (self.difference.value > 0) == self.higher_is_better else -1


class Comparison(NamedTuple):
    """The differences between all pairs of some models, and what is missing."""

    models: list[str]
    lines: list[Line]
    notes: list[str]


def compare(
    sides: Sequence[Selected], tests: str = RANKING, metrics: str = RANKING, by: str = ""
) -> Comparison:
    """Compare all pairs of models on the tasks that they share.

    tests, metrics: "ranking", "all" or a name. by: "band", "length" or a column of the stored
    predictions, whose values are strata.
    """
    if not 2 <= len(sides) <= MOST_MODELS:
        raise UserError(f"{len(sides)} models are given; compare takes 2 to {MOST_MODELS}")
    columns, lines, notes = common_columns(sides), list[Line](), list[str]()
    records = [s.cells[c].records[-1] for c in columns for s in sides if c in s.cells]
    for what, given, known in (
        ("test set", tests, {test for record in records for test in record.scores}),
        ("metric", metrics, {metric for record in records for metric in record.higher_is_better}),
    ):
        if given not in (RANKING, ALL, *known):
            raise unknown(what, given, [RANKING, ALL, *sorted(known)])
    shared = {column.task: column for column in columns}
    for column in dict.fromkeys(column for side in sides for column in side.cells):
        lacking = [side.name for side in sides if shared.get(column.task, column) not in side.cells]
        notes += [f"{column.task}: no results of {', '.join(lacking)}"] if lacking else []
    for column in columns:
        runs = read_runs(sides, column)
        record = runs[min(runs)][0].record
        wanted = [
            (test, metric)
            for test in chosen(tests, list(record.scores))
            for metric in chosen(metrics, list(record.higher_is_better))
        ]
        try:
            found = list(differences_of(column, record, runs, wanted, by))
        except WithoutStrata as error:
            notes.append(str(error))
            continue
        if lost := set(wanted) - {(line.test, line.metric) for line in found}:
            listed = ", ".join(sorted({metric for _, metric in lost}))
            notes.append(
                f"{column.task}: {listed} cannot be computed from the stored predictions; run it "
                "again with rerun=true"
            )
        lines += found
    if not lines:
        raise UserError(notes[-1])
    return Comparison([side.name for side in sides], lines, list(dict.fromkeys(notes)))


def read_runs(sides: Sequence[Selected], column: TaskColumn) -> Runs:
    """The stored runs of one task."""
    return {
        place: [StoredRun.read(record, side.folder) for record in side.cells[column].records]
        for place, side in enumerate(sides)
        if column in side.cells
    }


def differences_of(
    column: TaskColumn, record: Record, runs: Runs, wanted: Sequence[tuple[str, str]], by: str
) -> Iterator[Line]:
    """The lines of one task."""
    metrics = {metric for _, metric in wanted}
    for stratum, rows in strata(runs, by).items():
        found = {n: resampled(mine, metrics, rows[n] if rows else None) for n, mine in runs.items()}
        for test, metric in wanted:
            have = {
                n: each[test][metric] for n, each in found.items() if metric in each.get(test, {})
            }
            ranks = not stratum and (test, metric) == (next(iter(record.scores)), record.primary)
            for a, b in combinations(have, 2):
                scores = have[a].score, have[b].score
                d, better = difference(have[a], have[b]), record.higher_is_better[metric]
                line = Line(column, test, metric, stratum, better, ranks, (a, b), scores, d)
                if ranks and len(runs) == 2 and test in record.data:
                    one, other = runs[a][0], runs[b][0]
                    pair = aligned(one, other, test, metric)
                    correlation = rank_correlation(pair) if pair else None
                    line = line._replace(flips=flipped(one, other, test), error_r=correlation)
                yield line


def chosen(given: str, known: Sequence[str]) -> list[str]:
    """Of known names the first one, all, or the one that is given."""
    return [n for n in known if n in {RANKING: known[:1], ALL: known}.get(given, [given])]


def strata(runs: Runs, by: str) -> dict[str, dict[int, Array] | None]:
    """Stratum -> which rows of each model's first run are in it; without `by` one, of all rows."""
    if not by:
        return {"": None}
    first = [mine[0] for mine in runs.values()]
    task = first[0].record.task
    run = next((run for run in first if by in run.table.columns), None)
    if run is None:
        if by == "band":
            raise WithoutStrata(f"{task} has no identity bands; run `benchmark audit {task}` first")
        known = [name for name in first[0].table.columns if "." not in name]
        raise WithoutStrata(f"by={by} is no column of {task}, which has {', '.join(known)}")
    columns = run.table.columns
    values = [bin_of(value) if by == "length" else str(value) for value in columns[by]]
    order = {"band": BANDS, "length": [bin_of(edge - 1) for edge in (*LENGTHS, 10**9)]}
    names = [name for name in order.get(by, sorted(set(values))) if name in values]
    if len(names) > MOST_STRATA:
        many = (
            f"by={by} has {len(names)} values in {task}; give a column with at most {MOST_STRATA}"
        )
        raise WithoutStrata(many)
    of = dict(zip(zip(columns["test"], columns["id"], strict=True), values, strict=True))
    places = {
        n: [
            of[key] for key in zip(*(mine[0].table.columns[x] for x in ("test", "id")), strict=True)
        ]
        for n, mine in runs.items()
    }
    return {name: {n: np.array(own) == name for n, own in places.items()} for name in names}


def bin_of(length: int) -> str:
    """The bin of a number of residues."""
    edges = [0, *LENGTHS]
    low = max(edge for edge in edges if edge <= length)
    high = next((edge for edge in LENGTHS if edge > length), None)
    return f"{low}–{high - 1} residues" if high else f"from {low} residues"

"""Comparison of models by their stored predictions: a line for each task, metric and pair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import inf

import numpy as np

from benchmark.core import Array, UserError, unknown
from benchmark.data.homology import BANDS
from benchmark.metrics import find
from benchmark.metrics.answers import labelled
from benchmark.report.cells import TaskColumn
from benchmark.report.examples import flipped, values
from benchmark.report.resampled import StoredRun, resampled
from benchmark.report.selection import Selected, common_columns
from benchmark.results.record import Record
from benchmark.stats.multiplicity import ALPHA, false_discovery, holm
from benchmark.stats.paired import Difference, Resampled, difference

RANKING, ALL = "ranking", "all"
LENGTHS = {
    "under 100 residues": 100,
    "100–199 residues": 200,
    "200–399 residues": 400,
    "400–799 residues": 800,
    "from 800 residues": inf,
}
"""Bin by length -> its upper edge."""
MOST_STRATA = 20
MOST_MODELS = 30


@dataclass(frozen=True)
class Line:
    """The difference between two models on one metric of a test set."""

    column: TaskColumn
    test: str
    metric: str
    stratum: str
    """Of the test set; "" for all of it."""
    ranks: bool
    """Whether it is the whole score that ranks the task."""
    higher_is_better: bool | None
    pair: tuple[str, str]
    """Names of the two models."""
    sides: tuple[Resampled, Resampled]
    """The two models' results."""
    difference: Difference
    flips: float | None = None
    """Share of answers whose predicted class differs."""
    error_r: float | None = None
    """Rank correlation of the two models' values or errors."""
    holm: float | None = None
    fdr: float | None = None

    @property
    def scores(self) -> tuple[float, float]:
        """Of the two models."""
        return self.sides[0].score, self.sides[1].score

    @property
    def outcome(self) -> int:
        """1 if the first model is better by the corrected p-value, -1 if it is worse, 0 if tied."""
        if self.holm is None or self.holm >= ALPHA:
            return 0
        return 1 if (self.difference.value > 0) == self.higher_is_better else -1


def compare(
    sides: Sequence[Selected], test: str = RANKING, metric: str = RANKING, by: str = ""
) -> tuple[list[Line], list[str]]:
    """Compare all pairs of models on the tasks that they share; return notes on what is missing.

    test, metric: "ranking", "all" or a name. by: "band", "length" or a column of the stored
    predictions, whose values are strata. p-values are corrected over the scores that rank.
    """
    if not 2 <= len(sides) <= MOST_MODELS:
        raise UserError(f"{len(sides)} models are given; compare takes 2 to {MOST_MODELS}")
    (columns, notes), lines = common_columns(sides), list[Line]()
    records = [s.cells[c].records[-1] for c in columns for s in sides if c in s.cells]
    for what, given, parts in (
        ("test set", test, [record.scores for record in records]),
        ("metric", metric, [record.higher_is_better for record in records]),
    ):
        if given not in (known := {RANKING, ALL}.union(*parts)):
            raise unknown(what, given, sorted(known))
    for column in columns:
        runs = {side.name: read(side, column) for side in sides if column in side.cells}
        found = differences(column, runs, test, metric, by)
        lines += found
        wanted = next(iter(runs.values()))[0].record
        if not found and chosen(test, [*wanted.scores]) and chosen(metric, metric_names(wanted)):
            notes.append(f"{column.task}: {why_not([mine[0] for mine in runs.values()], by)}")
    if not lines:
        reason = notes[-1] if notes else f"no task has metric={metric} of test={test}"
        raise UserError(f"nothing can be compared; {reason}")
    tested = [place for place, line in enumerate(lines) if line.ranks]
    p = [lines[place].difference.p for place in tested]
    for place, first, second in zip(tested, holm(p), false_discovery(p), strict=True):
        lines[place] = replace(lines[place], holm=first, fdr=second)
    return lines, notes


def read(side: Selected, column: TaskColumn) -> list[StoredRun]:
    """A model's stored runs of one task, with all seeds."""
    return [StoredRun.read(record, side.folder) for record in side.cells[column].records]


def differences(
    column: TaskColumn, runs: Mapping[str, Sequence[StoredRun]], test: str, metric: str, by: str
) -> list[Line]:
    """The lines of one task."""
    firsts = [mine[0] for mine in runs.values()]
    record, lines = firsts[0].record, list[Line]()
    better, ranking = record.higher_is_better, (next(iter(record.scores)), record.primary)
    metrics = chosen(metric, metric_names(record))
    for stratum, rows in strata(firsts, by).items():
        found = {name: resampled(mine, metrics, rows) for name, mine in runs.items()}
        for score in product(chosen(test, list(record.scores)), metrics):
            ranks = score == ranking and not stratum
            values = {name: tests.get(score[0], {}).get(score[1]) for name, tests in found.items()}
            for (a, x), (b, y) in combinations(values.items(), 2):
                if x and y:
                    place = (column, *score, stratum, ranks, better[score[1]], (a, b))
                    agreement = agree(firsts, *ranking) if ranks and len(runs) == 2 else ()
                    lines.append(Line(*place, (x, y), difference(x, y), *agreement))
    return lines


def why_not(runs: Sequence[StoredRun], by: str) -> str:
    """Why a task has no lines."""
    task, columns = runs[0].record.task, runs[0].table.columns
    if by and not any(by in run.table.columns for run in runs):
        names = ", ".join(name for name in columns if "." not in name)
        audit = f"run `python -m benchmark audit {task}`"
        if runs[0].record.area == "language_modeling":
            audit = f"{audit[:-1]} task.bands_against=FILE`"
        return f"there is no column {by}; {audit if by == 'band' else f'there are {names}'}"
    return "its score cannot be computed from what is stored; run it again with rerun=true"


def metric_names(record: Record) -> list[str]:
    """The metrics of a Record, first the one that ranks."""
    return [record.primary, *(name for name in record.higher_is_better if name != record.primary)]


def chosen(given: str, known: Sequence[str]) -> list[str]:
    """Of known names the first one, all, or the one that is given."""
    return [n for n in known if n in {RANKING: known[:1], ALL: known}.get(given, [given])]


def agree(runs: Sequence[StoredRun], test: str, metric: str) -> tuple[float | None, float | None]:
    """Share of answers that flip, and rank correlation of values; None: unknown."""
    if test not in runs[0].table.columns["test"]:
        return None, None
    pair = values(runs, test, metric)
    spearman = find("spearman")
    correlation = pair and float(spearman.scores(list(pair.a), labelled(*pair.b))[0])
    flips = flipped(runs, test)
    return flips and flips.share, correlation


def strata(runs: Sequence[StoredRun], by: str) -> dict[str, Array | None]:
    """Stratum -> which rows of the tables are in it, (n,); without `by` one, of all rows."""
    if not by:
        return {"": None}
    cells = next((run.table.columns[by] for run in runs if by in run.table.columns), [])
    against = {run.record.audit.get("against", "") for run in runs if run.record.audit}
    if by == "band" and len(against) > 1:
        raise UserError(
            f"the identity bands of {runs[0].record.task} are against different proteins; run "
            "audit with one task.bands_against= for all of them"
        )
    if by == "length":
        cells = [next(name for name, edge in LENGTHS.items() if n < edge) for n in cells]
    found = np.array([str(cell) for cell in cells])
    names = {"band": BANDS, "length": LENGTHS}.get(by) or sorted(set(found.tolist()))
    if len(names) > MOST_STRATA:
        raise UserError(
            f"by={by} has {len(names)} values; give a column with at most {MOST_STRATA}"
        )
    return {name: found == name for name in names if name in found}

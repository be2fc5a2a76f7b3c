"""Scores and draws of Records, computed again from their stored predictions for comparisons.

All models of a test set are resampled with the same weights, those of `SEED`, whatever the seeds of
their runs are.
"""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import isfinite, nan
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmark import metrics
from benchmark.core import (
    Array,
    Example,
    ExampleMetric,
    ExampleValues,
    Metric,
    Scorer,
    SetMetric,
    UserError,
)
from benchmark.data.homology import read_audit
from benchmark.results.predictions import (
    PredictionTable,
    lengths_and_bands,
    read_predictions,
    require_columns,
)
from benchmark.results.record import Record
from benchmark.results.storage import folder_of
from benchmark.stats.bootstrap import FEWEST_UNITS, enough_units, resampled_scores, unfit
from benchmark.stats.paired import Resampled

Name = TypeVar("Name", bound=Hashable)
SEED = 0
"""Of the resamples."""
TOLERANCE = 1e-4
"""Some predictions are stored in single precision."""
AGAIN = "run it again with rerun=true"


@dataclass(frozen=True)
class StoredRun:
    """A Record and its stored predictions, a row per test example."""

    record: Record
    table: PredictionTable
    """With the columns `length` and, after an audit, `band`."""

    @classmethod
    def read(cls, record: Record, results: Path) -> "StoredRun":
        """Read the predictions of a Record that is in a folder or among the committed ones."""
        folder = folder_of(record, results)
        try:
            table = read_predictions(folder / record.path)
        except FileNotFoundError:
            reason = f"{folder / record.path} has no predictions next to it; {AGAIN}"
            raise UserError(reason) from None
        require_columns(table.path, table.columns)
        audit = read_audit(folder, record.data, record.audit.get("against", ""))
        facts = lengths_and_bands(table.columns, audit)
        return cls(record, PredictionTable(table.path, {**table.columns, **facts}))

    @cached_property
    def known(self) -> Array:
        """Whether each example has a known answer, (n,), as `benchmark.core.has_answer`."""
        if "label" in self.table.columns:
            labels = map(np.asarray, self.table.columns["label"])
            return np.array(
                [bool((y == y if y.dtype.kind == "f" else y != -1).any()) for y in labels]
            )
        values = [self.table.columns[f"value.{name}"] for name in self.table.metrics]
        return np.asarray(np.isfinite(np.array(values, np.float64)).any(axis=0))

    @cached_property
    def tests(self) -> Array:
        """The test set of each example, (n,)."""
        return np.array(self.table.columns["test"])

    def rows(self, test: str) -> Array:
        """Rows of the scored examples of a test set."""
        return np.flatnonzero(self.known & (self.tests == test))

    def labelled(self, rows: Array) -> list[Example]:
        """Examples with nothing but the labels of these rows; none if they are not stored."""
        labels = self.table.columns.get("label")
        return (
            [Example((), np.asarray(labels[row]), "", "") for row in rows]
            if labels is not None
            else []
        )

    def scorer(self, metric: Metric, rows: Array, examples: Sequence[Example]) -> Scorer | None:
        """A metric's function from weights of these rows to scores; None: they are not stored."""
        columns = self.table.columns
        if isinstance(metric, ExampleMetric) and metric.name in self.table.metrics:
            values, sizes = self.table.values(metric.name)
            return ExampleValues(values[rows], sizes[rows], metric.finish)
        if isinstance(metric, SetMetric) or not {"prediction", "label"} <= set(columns):
            return None
        try:
            return metric.scorer([columns["prediction"][row] for row in rows], examples)
        except (TypeError, ValueError) as error:
            raise unfit(metric, error) from None


def resampled(
    runs: Sequence[StoredRun], names: Collection[str], chosen: Array | None = None
) -> dict[str, dict[str, Resampled]]:
    """Test set -> metric -> scores and draws of a table's row, from its runs with all seeds.

    The means over test sets come first, as in a Record. names: of the metrics; those that cannot be
    computed from what is stored, and set metrics, are left out. chosen: (n,), which examples count;
    without it, scores that differ from those of the Record are refused.
    """
    tests = dict[str, dict[str, Resampled]]()
    for test in runs[0].record.scored:
        if test in runs[0].table.columns["test"]:
            parts = [resampled_run(run, test, names, chosen) for run in runs]
            common = [name for name in parts[0] if all(name in part for part in parts)]
            tests[test] = {name: joined([part[name] for part in parts]) for name in common}
    aggregates = runs[0].record.aggregates
    means = {mean: mean_over(tests, weights) for mean, weights in aggregates.items()}
    return {test: found for test, found in {**means, **tests}.items() if found}


def ranking_score(runs: Sequence[StoredRun]) -> Resampled | None:
    """The first metric on the first test set, with all seeds; None: not stored."""
    record = runs[0].record
    tests = resampled(runs, [record.primary])
    return tests.get(next(iter(record.scores)), {}).get(record.primary)


def resampled_run(
    run: StoredRun, test: str, names: Collection[str], chosen: Array | None
) -> dict[str, Resampled]:
    """The scores and draws of one run on a test set, by metric."""
    rows = run.rows(test)
    rows = rows if chosen is None else rows[chosen[rows]]
    if not len(rows):
        return {}
    columns, record = run.table.columns, run.record
    units, unit = np.unique([columns["group"][row] for row in rows], return_inverse=True)
    scorers, scores = dict[str, Scorer](), dict[str, float]()
    examples = run.labelled(rows)
    known = metrics_of(tuple(record.config["task"]["metrics"]))
    for metric in known:
        if metric.name in names and (scorer := run.scorer(metric, rows, examples)):
            scorers[metric.name] = scorer
            scores[metric.name] = float(scorer(np.ones((1, len(rows)), np.int64))[0])
            if chosen is None:
                require_recorded(record, test, metric.name, scores[metric.name], f"{record.path}: ")
    draws, sizes = resampled_scores(scorers, units.tolist(), unit, SEED)
    groups, found = frozenset(units.tolist()), dict[str, Resampled]()
    for metric in (m for m in known if m.name in scorers):
        name = metric.name
        enough = enough_units(metric, examples, unit, sizes[name])
        values = np.array([scores[name]]), draws[name][None]
        found[name] = Resampled(*values, sizes[name], groups, enough)
    return found


def joined(seeds: Sequence[Resampled]) -> Resampled:
    """One model's results of all its seeds."""
    scores, draws = (np.concatenate([getattr(s, x) for s in seeds]) for x in ("scores", "draws"))
    return replace(seeds[0], scores=scores, draws=draws)


def mean_over(
    tests: Mapping[str, Mapping[str, Resampled]], weights: Mapping[str, float]
) -> dict[str, Resampled]:
    """The weighted mean over test sets of each metric that all of them have."""
    parts, shares = [tests.get(test, {}) for test in weights], tuple(weights.values())
    found = {}
    for name in (name for name in parts[0] if all(name in part for part in parts)):
        sets = tuple(part[name] for part in parts)
        scores, draws = (
            np.tensordot(shares, [getattr(s, x) for s in sets], 1) for x in ("scores", "draws")
        )
        groups = frozenset[str]().union(*(each.groups for each in sets))
        enough = len(groups) >= FEWEST_UNITS
        found[name] = Resampled(scores, draws, np.ones(len(groups)), groups, enough, sets, shares)
    return found


def over_tasks(
    parts: Sequence[Mapping[Name, Resampled]],
) -> tuple[dict[Name, Resampled], list[Name]]:
    """The mean over tasks of each model that has all of them, and models that have none.

    A model with unequal numbers of seeds has none.
    """
    found, unequal = dict[Name, Resampled](), list[Name]()
    for name in (name for name in parts[0] if all(name in part for part in parts)):
        tasks = {str(n): {"": part[name]} for n, part in enumerate(parts)}
        if len({len(t[""].scores) for t in tasks.values()}) == 1:
            mean = mean_over(tasks, dict.fromkeys(tasks, 1 / len(tasks)))[""]
            found[name] = replace(mean, enough=all(part[name].enough for part in parts))
        else:
            unequal.append(name)
    return found, unequal


def without_mean(names: Sequence[str]) -> list[str]:
    """The note on models that have no mean over tasks."""
    return [f"no mean of {', '.join(names)}: unequal numbers of seeds"] if names else []


def require_recorded(record: Record, test: str, metric: str, value: float, place: str = "") -> None:
    """Refuse a Record whose score is no longer reproduced from what is stored with it."""
    recorded = record.scores[test].get(metric, nan)
    value = value if isfinite(value) else nan
    if not np.isclose(value, recorded, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        raise UserError(
            f"{place}its {metric} on {test} is {recorded:.4f}, but {value:.4f} now; {AGAIN}"
        )


@cache
def metrics_of(names: tuple[str, ...]) -> tuple[Metric, ...]:
    """The metrics of these names."""
    return tuple(metrics.find(name) for name in names)

"""Scores by identity band for Records that are older than their audit."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import metrics
from benchmark.core import (
    Array,
    CorpusMetric,
    ExampleMetric,
    Examples,
    Metric,
    Scorer,
    Splits,
    Task,
    UserError,
    has_answer,
)
from benchmark.data.homology import BANDS, Audit
from benchmark.progress import note, track
from benchmark.report.resampled import AGAIN, require_recorded
from benchmark.results import storage
from benchmark.results.predictions import VALUES, PredictionTable, read_predictions
from benchmark.results.record import WITHOUT_OVERLAP, Record
from benchmark.stats.strata import Strata, stratify

Stored = dict[str, list[Any]]
"""Test set -> predictions, one for each example."""


def complete(
    task: Task, splits: Splits, data: Mapping[str, str], found: Audit, folder: Path
) -> None:
    """Add scores by band to the Records of this data, from the predictions next to them."""
    records = [r for r in storage.load_all(folder) if r.data == data and r.audit != found.facts]
    done = 0
    for record in track(records, len(records), "scores by band"):
        try:
            table = read_predictions(folder / record.path)
            scorers = [metrics.find(name) for name in record.config["task"]["metrics"]]
            predictions = stored(task, splits, table)
            if table.path.name == VALUES:
                scorers = [m for scorer in scorers if (m := from_values(scorer, table))]
            if record.primary not in {scorer.name for scorer in scorers}:
                raise UserError(f"its {record.primary} cannot be computed from what is stored")
            require_same(record, task, scorers, splits, predictions)
        except (UserError, FileNotFoundError) as error:
            print(f"{folder / record.path} gets no scores by band: {error}", file=sys.stderr)
            continue
        strata = stratify(scorers, task.readout, splits, predictions, found, record.seed)
        strata = with_own(strata, record)
        storage.write_record(replace(record, strata=strata, audit=found.facts), folder)
        done += 1
    if done:
        have = "Record of this data has" if done == 1 else "Records of this data have"
        note(f"{done} {have} scores by band now")


def with_own(strata: Strata, record: Record) -> Strata:
    """These strata and those of the Record's task, which do not depend on the audit."""
    own = {
        test: {name: part for name, part in parts.items() if name not in (*BANDS, WITHOUT_OVERLAP)}
        for test, parts in record.strata.items()
    }
    merged = {test: strata.get(test, {}) | own.get(test, {}) for test in (*strata, *own)}
    return {test: parts for test, parts in merged.items() if parts}


def stored(task: Task, splits: Splits, table: PredictionTable) -> Stored:
    """Each test set's predictions; of the light form its rows, for metrics of `from_values`."""
    expected = [(name, example.id) for name, test in splits.tests.items() for example in test]
    if list(zip(table.columns["test"], table.columns["id"], strict=True)) != expected:
        raise UserError(f"the predictions next to it are not of this data; {AGAIN}")
    light = table.path.name == VALUES
    rows = iter(row if light else task.from_row(row) for row in table.rows())
    return {name: list(islice(rows, len(test))) for name, test in splits.tests.items()}


def from_values(metric: Metric, table: PredictionTable) -> Metric | None:
    """The metric computed from stored values, or from short predictions; None without either."""
    value, size = f"value.{metric.name}", f"size.{metric.name}"
    if isinstance(metric, ExampleMetric) and value in table.columns:

        def values(predictions: list[dict[str, Any]], examples: object) -> tuple[Array, Array]:
            sizes = [row.get(size, 1.0) for row in predictions]
            return np.array([row[value] for row in predictions]), np.array(sizes)

        return replace(metric, fn=values)
    if isinstance(metric, CorpusMetric) and "prediction" in table.columns:

        def scorer(predictions: list[dict[str, Any]], examples: Examples) -> Scorer:
            return metric.scorer([row["prediction"] for row in predictions], examples)

        return replace(metric, fn=scorer)
    return None


def require_same(
    record: Record, task: Task, scorers: Sequence[Metric], splits: Splits, predictions: Stored
) -> None:
    """Refuse a Record whose scores the metrics no longer reproduce: bands would not compare."""
    for test, examples in splits.tests.items():
        rows = [row for row, e in enumerate(examples) if has_answer(e.label, task.readout)]
        known = [predictions[test][row] for row in rows], [examples[row] for row in rows]
        for scorer in scorers:
            (value,) = scorer.scores(*known)
            require_recorded(record, test, scorer.name, float(value))

"""Scores by band for Records that were there before their audit."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import metrics
from benchmark.core import Metric, Splits, Task, UserError, Value, known_answers
from benchmark.data.homology import Audit
from benchmark.data.sources import cells
from benchmark.progress import track
from benchmark.results import storage
from benchmark.results.record import Record
from benchmark.stats.strata import stratify

TOLERANCE = 1e-4
"""Some predictions are stored in single precision."""


def complete(
    task: Task, splits: Splits, data: Mapping[str, str], found: Audit, folder: Path
) -> None:
    """Give the Records of this data their scores by band, from the predictions beside them."""
    records = [
        record
        for record in storage.load_all(folder)
        if record.data == data and record.audit != found.facts
    ]
    done = 0
    for record in track(records, len(records), "scores by band"):
        try:
            scorers = [metrics.find(name) for name in record.higher_is_better]
            kept = stored(task, splits, folder / record.path)
            require_same(record, scorers, splits, kept)
        except (UserError, FileNotFoundError) as error:
            print(
                f"{folder / record.path} gets no scores by band: {error}; delete it and run again",
                file=sys.stderr,
            )
            continue
        strata = stratify(scorers, splits, kept, found, record.seed)
        storage.write_record(replace(record, strata=strata, audit=found.facts), folder)
        done += 1
    if done:
        print(f"{done} Records of this data have scores by band now")


def stored(task: Task, splits: Splits, path: Path) -> dict[str, list[Value]]:
    """Each test set's predictions, from the table beside a Record."""
    import pyarrow.parquet as pq

    table = pq.read_table(path.with_suffix(".parquet"))
    columns = {name: cells(table[name]) for name in table.column_names}
    expected = [(name, example.id) for name, test in splits.tests.items() for example in test]
    if list(zip(columns["test"], columns["id"], strict=True)) != expected:
        raise UserError("the predictions beside it are not of this data")
    kept: dict[str, list[Value]] = {name: [] for name in splits.tests}
    for row in rows_of(columns):
        kept[row["test"]].append(task.from_row(row))
    return kept


def rows_of(columns: Mapping[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """The rows of a table by their columns' names."""
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def require_same(
    record: Record,
    scorers: Sequence[Metric],
    splits: Splits,
    kept: Mapping[str, Sequence[Value]],
) -> None:
    """Refuse where the metrics have changed since, so that their scores are not comparable."""
    for test, examples in splits.tests.items():
        rows = [r for r, example in enumerate(examples) if np.any(known_answers(example.label))]
        predictions, labels = [kept[test][r] for r in rows], [examples[r].label for r in rows]
        for scorer in scorers:
            (value,) = scorer(predictions, labels)
            recorded = record.scores[test].get(scorer.name, np.nan)
            value = value if np.isfinite(value) else np.nan
            if not np.isclose(value, recorded, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
                raise UserError(
                    f"its {scorer.name} on {test} is {recorded:.4f}, but {value:.4f} now"
                )

"""Records gathered into the rows, columns and cells of tables."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmark.results.record import Record, primary
from benchmark.stats.seeds import Estimate, estimate


class Column(NamedTuple):
    """What makes scores comparable: the same task, on the same data, asked in the same way."""

    area: str
    embedded: bool
    task: str
    version: int
    question: str
    """JSON of the digests of the data, and of the task's settings."""


class Row(NamedTuple):
    """What is compared: a model under one method and one set of settings."""

    model: str
    method: str
    settings: str
    """JSON."""


class Cell(NamedTuple):
    """What the Records of all seeds say together."""

    estimate: Estimate
    records: tuple[Record, ...]

    @property
    def score(self) -> float:
        """The mean over seeds; NaN: undefined."""
        return self.estimate.score

    def __str__(self) -> str:
        """Score, spread over seeds, interval."""
        return str(self.estimate)


Cells = dict[tuple[Row, Column], Cell]


def column_of(record: Record) -> Column:
    """The column that a Record belongs to; further metrics of a task make no other column."""
    versions = record.identity["versions"]
    asked = {
        **record.identity["task"],
        "metrics": record.primary,
        "metric version": versions["metrics"][record.primary],
        "evaluation version": versions["evaluation"],
    }
    question = json.dumps([record.data, asked], sort_keys=True)
    embedded = str(record.data_report.get("source", "")).startswith("package:")
    return Column(record.area, embedded, record.task, record.version, question)


def row_of(record: Record) -> Row:
    """The row that a Record belongs to; declared versions of model and method are settings."""
    versions = record.identity["versions"]
    declared = {
        f"{part} version": versions[part]
        for part in ("model", "method", "embedding")
        if isinstance(versions[part], int)
    }
    return Row(
        record.model, record.method, json.dumps({**record.settings, **declared}, sort_keys=True)
    )


def tabulate(records: Iterable[Record]) -> Cells:
    """The cells of all tables; Records come oldest first."""
    runs = defaultdict[tuple[Row, Column], list[Record]](list)
    for record in records:
        if record.limit is None:
            runs[row_of(record), column_of(record)].append(record)
    cells = {}
    for place, found in runs.items():
        seeds = {record.seed: record for record in found if record.key == found[-1].key}
        cells[place] = cell(list(seeds.values()))
    return cells


def cell(records: Sequence[Record]) -> Cell:
    """One cell from the Records of several seeds."""
    return Cell(estimate(*primary(records)), tuple(records))


def label(row: Row, rows: Iterable[Row]) -> str:
    """A row's name: the model's, and the settings in which it differs from its namesakes."""
    mine = json.loads(row.settings)
    others = [json.loads(other.settings) for other in rows if other.model == row.model]
    differing = {
        key: value
        for key, value in mine.items()
        if any(other.get(key) != value for other in others)
    }
    text = ", ".join(f"{key.split('.')[-1]}={value}" for key, value in differing.items())
    return f"{row.model} ({text})" if text else row.model


def headings(columns: Sequence[Column]) -> dict[Column, str]:
    """A column's name: the task's, numbered where one task was asked in several ways."""
    result = {}
    for column in columns:
        same = [other for other in columns if other.task == column.task]
        number = f" #{same.index(column) + 1}" if len(same) > 1 else ""
        result[column] = column.task + number
    return result

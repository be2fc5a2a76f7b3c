"""Records gathered into the columns, rows and cells of tables."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, get_args

from benchmark.core import Area
from benchmark.results.record import Record, primary
from benchmark.stats.seeds import Estimate, estimate

AREAS = get_args(Area)
BASELINES = "benchmark.backbones.baselines."
"""The package of the models that are baselines."""
NO_MODEL = f"{BASELINES}none.NoModel"


class TaskColumn(NamedTuple):
    """What makes scores comparable: the same task with the same data and settings."""

    area: str
    embedded: bool
    task: str
    version: int
    question: str
    """JSON of the digests of the data, and of the task's settings."""

    @property
    def order(self) -> tuple[tuple[int, str], "TaskColumn"]:
        """Sorts columns by area; an unknown area of an old Record comes last."""
        return area_order(self.area), self


class Row(NamedTuple):
    """What is compared: a model with one method and one set of settings."""

    model: str
    method: str
    settings: str
    """JSON."""
    baseline: bool = False
    model_free: bool = False
    """Whether the method uses no model; such rows are named by the method, and are in all tables
    of the same tasks."""


class Cell(NamedTuple):
    """The result of one row on one task, over all seeds."""

    estimate: Estimate
    records: tuple[Record, ...]


Cells = dict[TaskColumn, dict[Row, Cell]]


def area_order(area: str) -> tuple[int, str]:
    """Sorts areas as `core` lists them, unknown ones last."""
    return AREAS.index(area) if area in AREAS else len(AREAS), area


def column_of(record: Record) -> TaskColumn:
    """The column that a Record belongs to; further metrics of a task make no other column."""
    versions = record.identity["versions"]
    settings = {
        **record.identity["task"],
        "metrics": record.primary,
        "kind version": versions["task"],
        "metric version": versions["metrics"][record.primary],
        "evaluation version": versions["evaluation"],
    }
    question = json.dumps([record.data, settings], sort_keys=True)
    embedded = str(record.data_report.get("source", "")).startswith("package:")
    return TaskColumn(record.area, embedded, record.task, record.version, question)


def row_of(record: Record) -> Row:
    """The row that a Record belongs to; declared versions of model and method are settings."""
    versions = record.identity["versions"]
    declared = {
        f"{part} version": versions[part]
        for part in ("model", "method", "embedding")
        if isinstance(versions[part], int)
    }
    settings = json.dumps({**record.settings, **declared}, sort_keys=True)
    target = str(record.config.get("model", {}).get("_target_", ""))
    model_free = target == NO_MODEL
    name = record.method if model_free else record.model
    return Row(name, record.method, settings, target.startswith(BASELINES), model_free)


def tabulate(records: Iterable[Record]) -> Cells:
    """The cells of all tables, from Records in the order of their creation.

    Of one row and column only the Records count that have the key of the newest.
    """
    runs = defaultdict[TaskColumn, dict[Row, list[Record]]](dict)
    for record in records:
        if record.limit is None:
            runs[column_of(record)].setdefault(row_of(record), []).append(record)
    return {
        column: {row: cell(found) for row, found in rows.items()} for column, rows in runs.items()
    }


def cell(records: Sequence[Record]) -> Cell:
    """One cell from the Records of several seeds, of the last one's key."""
    newest = {r.seed: r for r in records if r.key == records[-1].key}
    return Cell(estimate(*primary(list(newest.values()))), tuple(newest.values()))


def record_of(rows: Mapping[Row, Cell]) -> Record:
    """A Record that stands for a column: its metrics, test sets and sizes are those of all."""
    return next(iter(rows.values())).records[-1]


def is_higher_better(rows: Mapping[Row, Cell]) -> bool:
    """Whether the metric that ranks a column is better if higher."""
    record = record_of(rows)
    return bool(record.higher_is_better[record.primary])


def labels(rows: Collection[Row]) -> dict[Row, str]:
    """Row names: the model, the settings that tell it from rows of the same name, its kind."""
    settings = {row: json.loads(row.settings) for row in rows}
    groups = defaultdict[str, list[Row]](list)
    for row in rows:
        groups[row.model].append(row)
    result = {}
    for same in groups.values():
        keys = dict.fromkeys(key for row in same for key in settings[row])
        differing = [k for k in keys if len({repr(settings[row].get(k)) for row in same}) > 1]
        for row in same:
            given = [key for key in differing if key in settings[row]]
            words = ", ".join(f"{key.split('.')[-1]}={settings[row][key]}" for key in given)
            name = f"{row.model} ({words})" if words else row.model
            result[row] = name + (" (baseline)" if row.baseline else "")
    return result


def headings(columns: Sequence[TaskColumn]) -> dict[TaskColumn, str]:
    """Column names: the task, numbered where it was run in several versions or settings."""
    count, number = Counter(column.task for column in columns), Counter[str]()
    names = {}
    for column in columns:
        number[column.task] += 1
        several = count[column.task] > 1
        names[column] = column.task + (f" #{number[column.task]}" if several else "")
    return names

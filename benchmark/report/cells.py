"""Records gathered into the columns, rows and cells of tables."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from os.path import normpath
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.report.suites import AREAS, built_in, find, merged, read
from benchmark.report.suites import names as names_in
from benchmark.results.identity import flat
from benchmark.results.record import Record, primary
from benchmark.stats.seeds import Estimate, estimate

BASELINES = "benchmark.backbones.baselines."
"""The package of the models that are baselines."""


class TaskColumn(NamedTuple):
    """What makes scores comparable: the same task with the same data and settings."""

    area: str
    embedded: bool
    task: str
    version: int
    question: str
    """JSON of the digests of the data, and of the task's settings."""
    method: str = ""
    """Of a comparison's rows; tables have a method each."""


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
    target: str = ""
    """The model's class; "" if the user named the row."""
    place: str = ""
    """Where its weights were last; "" if the user named the row, which holds the newest weights."""


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
    if judge := record.identity.get("judge"):
        settings["judge"] = judge
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
    model = record.config.get("model", {})
    target, path = str(model.get("_target_", "")), str(model.get("path") or "")
    name = record.method if record.model_free else record.model
    row = Row(name, record.method, settings, target.startswith(BASELINES), record.model_free)
    named = record.config.get("name")
    return row if named else row._replace(target=target, place=path and normpath(path))


def tabulate(records: Iterable[Record]) -> Cells:
    """The cells of all tables, sorted by area, from Records in the order of their creation.

    Of one row and column only the Records count that have the key of the newest. Weights that were
    moved stay in one row, and those of equal names in different places have rows of their own.
    """
    ranked = [(record, row_of(record)) for record in records if record.limit is None]
    last = {record.backbone.get("digest"): row.place for record, row in ranked if row.place}
    runs = defaultdict[TaskColumn, dict[Row, list[Record]]](dict)
    for record, row in ranked:
        place = row.place and last[record.backbone.get("digest")]
        runs[column_of(record)].setdefault(row._replace(place=place), []).append(record)
    ordered = sorted(runs, key=lambda column: (area_order(column.area), column))
    return {column: {row: cell(found) for row, found in runs[column].items()} for column in ordered}


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


def row_in(rows: Mapping[Row, Cell], record: Record) -> Row:
    """The row of a Record: the one with its weights, or with newer ones in the same place."""
    own = row_of(record)
    same = [row for row in rows if row._replace(place=own.place) == own]
    weights = record.backbone.get("digest")
    has = (row for row in same if rows[row].records[-1].backbone.get("digest") == weights)
    return next(has, own)


def model_names(rows: Collection[Row]) -> dict[Row, str]:
    """The models' names, with as much of their places as distinguishes them."""
    groups = defaultdict[str, dict[str, tuple[str, ...]]](dict)
    for row in rows:
        groups[row.model][row.place] = Path(row.place).parts
    names = {}
    for row in rows:
        places, own = set(groups[row.model].values()), Path(row.place).parts
        lengths = range(1, max(map(len, places), default=0) + 1)
        size = next((n for n in lengths if len({p[-n:] for p in places}) == len(places)), 1)
        place = "/".join(own[-size:])
        apart = place if own[-1:] == (row.model,) else f"{row.model} at {place}"
        names[row] = apart if len(places) > 1 and own else row.model
    return names


def labels(rows: Collection[Row]) -> dict[Row, str]:
    """Row names: the model, settings that are not its yaml's or tell rows apart, its kind."""
    settings = {row: json.loads(row.settings) for row in rows}
    groups, result, names = defaultdict[str, list[Row]](list), {}, model_names(rows)
    for row, name in names.items():
        groups[name].append(row)
    for name, same in groups.items():
        keys = dict.fromkeys(key for row in same for key in settings[row])
        differing = [k for k in keys if len({repr(settings[row].get(k)) for row in same}) > 1]
        for row in same:
            unusual = unusual_settings(row, settings[row])
            given = [key for key in settings[row] if key in differing or key in unusual]
            words = ", ".join(f"{key.split('.')[-1]}={settings[row][key]}" for key in given)
            result[row] = f"{name} ({words})" if words else name
            result[row] += " (baseline)" if row.baseline else ""
    return result


def unusual_settings(row: Row, settings: Mapping[str, Any]) -> set[str]:
    """The settings of a row that differ from its model's and method's yamls."""
    usual = usual_settings(row.model, row.target if row.place else "", row.method)
    return {k for k, value in settings.items() if k in usual and usual[k] != plain(value)}


@cache
def usual_settings(model: str, target: str, method: str) -> dict[str, Any]:
    """The settings in the yamls of a model and a method of ours; {} of a user's own."""
    if target and model not in our_settings("model"):  # named after a checkpoint
        model = model_of(target)
    return our_settings("model").get(model, {}) | our_settings("method").get(method, {})


@cache
def our_settings(group: str) -> dict[str, dict[str, Any]]:
    """Name -> settings of our yamls of a group, without those that refer to others."""
    folders = [built_in()]
    found = {name: flat(group, merged(folders, group, name)) for name in names_in(group, folders)}
    return {
        name: {key: plain(value) for key, value in settings.items() if "${" not in str(value)}
        for name, settings in found.items()
    }


@cache
def model_of(target: str) -> str:
    """The first model of ours whose own yaml names this class; "" if none does."""
    folders = [built_in()]
    known = names_in("model", folders)
    own = (name for name in known if read(find(folders, "model", name)).get("_target_") == target)
    return next(own, "")


def plain(value: Any) -> Any:
    """A setting as JSON and YAML agree on it: numbers as floats, everything else as text."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def headings(columns: Sequence[TaskColumn]) -> dict[TaskColumn, str]:
    """Column names: the task, its method where it has several, and a number for each version."""
    tasks = Counter(task for task, _ in {(column.task, column.method) for column in columns})
    words = {c: f"{c.task} · {c.method}" if tasks[c.task] > 1 else c.task for c in columns}
    count, number = Counter(words.values()), Counter[str]()
    for column, name in list(words.items()):
        number[name] += 1
        words[column] = name + (f" #{number[name]}" if count[name] > 1 else "")
    return words

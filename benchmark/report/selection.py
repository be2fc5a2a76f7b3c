"""The results that words of the command line name, and whether they can be compared."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain, combinations, product
from pathlib import Path
from re import fullmatch
from typing import NamedTuple

from benchmark.core import UserError, unknown
from benchmark.report.cells import (
    Cell,
    Cells,
    Row,
    TaskColumn,
    area_order,
    labels,
    row_of,
    tabulate,
    unusual_settings,
)
from benchmark.results.identity import differences
from benchmark.results.record import Record
from benchmark.results.storage import FOLDERS, KEY, load_all, load_below


class Selected(NamedTuple):
    """A model's results, at most one for each column of the tables and method."""

    name: str
    cells: Mapping[TaskColumn, Cell]
    folder: Path
    """The results folder, for predictions that are not among the committed ones."""
    several: Mapping[TaskColumn, Sequence[str]] = {}
    """Columns in which the name has results with several settings, by NAME@KEY."""
    tasks: frozenset[str] = frozenset()
    """Those that it has results of, by any method."""


def select(
    words: Sequence[str], results: Path, methods: str = "", tasks: str = ""
) -> list[Selected]:
    """The results that each word names: a row of the tables, NAME@KEY, a key, a folder or a file.

    Rows are those of the results folder and the committed ones. methods, tasks: only of these,
    "a,b".
    """
    committed = next((folder for folder in FOLDERS if folder.is_dir()), results)
    others = load_all(committed) if committed.resolve() != results.resolve() else []
    known = sorted([*others, *load_all(results)], key=lambda record: record.created)
    sides = matched([selected(word, known, results, methods, tasks) for word in words])
    for place, word in enumerate(words):
        names = [side.name for side in sides]
        if names.count(names[place]) > 1:
            again = word in names[:place]
            sides[place] = sides[place]._replace(name=f"{word} ({place + 1})" if again else word)
    return sides


def selected(
    word: str, known: Sequence[Record], results: Path, methods: str, tasks: str
) -> Selected:
    """The results that one word names; of several settings of a method, those of the yamls."""
    path = Path(word).expanduser()
    name, _, key = ("", "@", word) if fullmatch(KEY, word) else word.partition("@")
    found_at, folder = load_below(path)
    if found_at:
        known, results, name, key, word = found_at, folder, "", "", path.resolve().name
    elif path.exists() and word not in {record.model for record in known}:
        raise UserError(f"{word} has no Records; give a folder of results, or a model's name")
    known = [record for record in known if record.key.startswith(key)]
    cells = tabulate(known)
    if not cells:
        limited = "it has only runs with limit=, which are not compared" if known else ""
        raise UserError(f"{word}: {limited or f'there is no such result in {results}'}")
    names, name = row_names(cells), name.removesuffix(" (baseline)")
    named = [row for row in names if name in ("", row.model, *names[row])]
    if not named:
        raise unknown("model", word, sorted({row.model for row in names}))
    wanted = [r for r in named if not methods or r.model_free or r.method in methods.split(",")]
    if not wanted:
        raise UserError(f"{word} has no results of method={methods}")
    groups = defaultdict[TaskColumn, list[Row]](list)
    for column, row in product(cells, wanted):
        if row in cells[column] and (not tasks or column.task in tasks.split(",")):
            groups[column._replace(method="" if row.model_free else row.method)].append(row)
    found, several = dict[TaskColumn, Cell](), dict[TaskColumn, list[str]]()
    for place, rows in groups.items():
        here = cells[place._replace(method="")]
        usual = [row for row in rows if not unusual_settings(row, json.loads(row.settings))]
        chosen = usual if len(usual) == 1 else rows
        if len(chosen) == 1:
            found[place] = here[chosen[0]]
        else:
            several[place] = [f"{names[row][0]}@{here[row].records[-1].key}" for row in rows]
    return Selected(word, found, results, several, frozenset(c.task for c in found))


def matched(sides: Sequence[Selected]) -> list[Selected]:
    """The results of each column by the methods that two of the sides have.

    Those without a model are compared with every method. Where the sides have no method in common
    and one result each, these are compared, and the column names no method.
    """
    found: list[dict[TaskColumn, Cell]] = [{} for _ in sides]
    unclear = {column._replace(method="") for side in sides for column in side.several}
    for column in {c._replace(method=""): None for side in sides for c in side.cells}:
        have = [
            {c.method: cell for c, cell in side.cells.items() if c._replace(method="") == column}
            for side in sides
        ]
        methods = dict.fromkeys(method for mine in have for method in mine if method)
        shared = [m for m in methods if sum(m in mine or "" in mine for mine in have) > 1]
        one_each = column not in unclear and all(len(mine) < 2 for mine in have)
        for mine, cells in zip(have, found, strict=True):
            for method in shared or mine:
                if method in mine or "" in mine:
                    name = method if shared or not one_each else ""
                    cells[column._replace(method=name)] = mine.get(method) or mine[""]
    return [side._replace(cells=cells) for side, cells in zip(sides, found, strict=True)]


def row_names(cells: Cells) -> dict[Row, list[str]]:
    """Row -> its names in the tables of its method, of all areas and of one, without "(baseline)".

    Settings are in brackets where other rows of a table differ in them.
    """
    names = defaultdict[Row, list[str]](list)
    for area in (None, *dict.fromkeys(column.area for column in cells)):
        found = [rows for column, rows in cells.items() if area in (None, column.area)]
        methods = defaultdict[str, dict[Row, None]](dict)
        for row in chain.from_iterable(found):
            methods[row.method][row] = None
        for rows in methods.values():
            for row, name in labels(rows).items():
                names[row].append(name.removesuffix(" (baseline)"))
    return names


def common_columns(sides: Sequence[Selected]) -> tuple[list[TaskColumn], list[str]]:
    """The columns in which at least two sides have results, in the order of the tables; notes.

    Of a task in several versions or settings, the one that most sides have, or the newest. The
    notes say what is missing, unclear, or differs in data, dtype or versions; without any column
    this is the error.
    """
    have = defaultdict[TaskColumn, list[Cell]](list)
    for column, cell in (item for side in sides for item in side.cells.items()):
        have[column].append(cell)
    by_rank = sorted(
        have, key=lambda c: (len(have[c]), max(x.records[-1].created for x in have[c]))
    )
    best = {(column.task, column.method): column for column in by_rank if len(have[column]) > 1}
    shared, notes, reasons = list[TaskColumn](), list[str](), list[str]()
    for column in sorted(best.values(), key=lambda column: (area_order(column.area), column)):
        pairs = combinations([side for side in sides if column in side.cells], 2)
        found = next((why for a, b in pairs if (why := differ(a, column, b, column))), None)
        reasons += [found] if found else []
        shared += [] if found else [column]
    for task in dict.fromkeys(c.task for s in sides for c in (*s.cells, *s.several)):
        joint = [column for column in best.values() if column.task == task]
        unclear = [(s, c) for s in sides for c in s.several if c.task == task]
        having = [(s, c) for s in sides for c in s.cells if c.task == task]
        named = {s.name for s, c in (*having, *unclear) if c in (joint or [c]) or c in s.several}
        left = [side.name for side in sides if side.name not in named]
        unlike = [name for name in left if name in {s.name for s in sides if task in s.tasks}]
        lacking = [name for name in left if name not in unlike]
        notes += [f"{task}: no results of {', '.join(lacking)}"] if lacking else []
        notes += [f"{task}: no common method with {', '.join(unlike)}"] if unlike else []
        if len(named) > 1:
            reasons += [
                f"{s.name} names {len(s.several[c])} results of {task} with method={c.method}: "
                f"{', '.join(s.several[c])}; give one of these names"
                for s, c in unclear
            ]
            if not joint and not unclear:
                apart = [(x, y) for x, y in combinations(having, 2) if x[0].name != y[0].name]
                x, y = min(apart, key=lambda pair: pair[0][1].method != pair[1][1].method)
                methods = ", ".join(f"{s.name} ({c.method})" for s, c in having)
                reasons.append(
                    differ(*x, *y)
                    or f"{task}: no method in common, {methods}; choose results by NAME@KEY"
                )
    if not shared:
        tasks = [
            f"{s.name} has {', '.join(sorted({c.task for c in s.cells})) or 'none'}" for s in sides
        ]
        none = f"there is no task with results of two of them: {'; '.join(tasks)}"
        raise UserError("; ".join(reasons) or none)
    return shared, [*notes, *reasons]


def differ(side: Selected, column: TaskColumn, other: Selected, column_b: TaskColumn) -> str:
    """Why two results cannot be compared: their data, task, dtype, limit or versions differ."""
    a, b = side.cells[column].records[-1], other.cells[column_b].records[-1]
    rows = row_of(a), row_of(b)
    parts = ["data.", "task.", "judge.", "limit", "versions.task", "versions.evaluation"]
    parts += [f"versions.metrics.{a.primary}"]
    if not any(row.baseline or row.model_free for row in rows):
        parts += ["dtype", "versions.embedding"]
    for group in ("model", "method"):
        same = a.identity[group].get("_target_") == b.identity[group].get("_target_")
        parts += [f"versions.{group}"] if same else []
    differing = [
        f"{name} ({x}, {y})"
        for name, (x, y) in differences(a, b)["part of the key"].items()
        if name.startswith(tuple(parts)) and name != "task.metrics"
    ]
    kinds = [record.choices.get("sampling") for record in (a, b)]
    if None not in kinds and kinds[0] != kinds[1]:
        differing.append(f"sampling ({kinds[0]}, {kinds[1]})")
    if not differing:
        return ""
    return (
        f"{side.name} and {other.name} cannot be compared on {a.task}: they differ in "
        f"{', '.join(differing[:3])}{' and more' if len(differing) > 3 else ''}; run one of them "
        "again so that they agree"
    )

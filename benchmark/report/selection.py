"""The results that words of the command line name, and whether they can be compared."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise
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
)
from benchmark.results.identity import differences
from benchmark.results.record import Record
from benchmark.results.storage import FOLDERS, KEY, load_all, load_below


class Selected(NamedTuple):
    """A model's results, at most one for each column of the tables."""

    name: str
    cells: Mapping[TaskColumn, Cell]
    folder: Path
    """The results folder, for predictions that are not among the committed ones."""
    several: Mapping[TaskColumn, Mapping[str, Cell]] = {}
    """Columns in which the name has several results, by NAME@KEY (METHOD)."""


def select(words: Sequence[str], results: Path, methods: str = "") -> list[Selected]:
    """The results that each word names: a row of the tables, NAME@KEY, a key, a folder or a file.

    Rows are those of the results folder and the committed ones. methods: only of these, "a,b". Of
    several methods in a column, the one that other words have there is taken.
    """
    committed = next((folder for folder in FOLDERS if folder.is_dir()), results)
    others = load_all(committed) if committed.resolve() != results.resolve() else []
    known = sorted([*others, *load_all(results)], key=lambda record: record.created)
    found = [selected(word, known, results, methods) for word in words]
    sides = [with_method_of(side, [s for s in found if s is not side]) for side in found]
    for place, word in enumerate(words):
        names = [side.name for side in sides]
        if names.count(names[place]) > 1:
            again = word in names[:place]
            sides[place] = sides[place]._replace(name=f"{word} ({place + 1})" if again else word)
    return sides


def selected(word: str, known: Sequence[Record], results: Path, methods: str) -> Selected:
    """The results that one word names."""
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
    names = row_names(cells)
    if name not in {"", *names.values(), *(row.model for row in names)}:
        raise unknown("model", word, sorted({row.model for row in names}))
    usable = [r for r in names if not methods or r.model_free or r.method in methods.split(",")]
    wanted = [row for row in usable if name in ("", names[row])]
    wanted = wanted or [row for row in usable if name == row.model]
    if not wanted:
        raise UserError(f"{word} has no results of method={methods}")
    found, several = dict[TaskColumn, Cell](), dict[TaskColumn, dict[str, Cell]]()
    for column, rows in cells.items():
        mine = [row for row in wanted if row in rows]
        if len(mine) > 1:
            several[column] = {
                f"{names[r]}@{rows[r].records[-1].key} ({r.method})": rows[r] for r in mine
            }
        elif mine:
            found[column] = rows[mine[0]]
    return Selected(word, found, results, several)


def with_method_of(side: Selected, others: Sequence[Selected]) -> Selected:
    """The results with one for each column that others have: that of the others' method.

    Refused where their methods do not decide.
    """
    cells = dict(side.cells)
    for column, mine in side.several.items():
        here = [other.cells[column].records[-1] for other in others if column in other.cells]
        methods = {record.method for record in here if not record.model_free}
        same = [cell for cell in mine.values() if cell.records[-1].method in methods]
        if len(methods) == len(same) == 1:
            cells[column] = same[0]
        elif here or any(column in other.several for other in others):
            several = len({cell.records[-1].method for cell in mine.values()}) > 1
            raise UserError(
                f"{side.name} names {len(mine)} results of {column.task}: {', '.join(mine)}; add "
                f"{'method=NAME' if several else 'the settings in brackets'}, or give NAME@KEY"
            )
    ordered = sorted(cells, key=lambda column: (area_order(column.area), column))
    return side._replace(cells={column: cells[column] for column in ordered}, several={})


def row_names(cells: Cells) -> dict[Row, str]:
    """Row -> its name in the tables of its method, without "(baseline)"."""
    rows = dict.fromkeys(row for found in cells.values() for row in found)
    names = dict[Row, str]()
    for method in dict.fromkeys(row.method for row in rows):
        names |= labels([row for row in rows if row.method == method])
    return {row: name.removesuffix(" (baseline)") for row, name in names.items()}


def common_columns(sides: Sequence[Selected]) -> list[TaskColumn]:
    """The columns in which at least two sides have results, in the order of the tables.

    Of a task in several versions or settings, the one that most sides have, or the newest. Results
    of a task that no column holds together, or of other dtypes or versions, are refused.
    """
    have = defaultdict[TaskColumn, list[Cell]](list)
    for column, cell in (item for side in sides for item in side.cells.items()):
        have[column].append(cell)
    by_rank = sorted(
        have, key=lambda c: (len(have[c]), max(x.records[-1].created for x in have[c]))
    )
    best = {column.task: column for column in by_rank if len(have[column]) > 1}
    shared = [column for column in have if best.get(column.task) == column]
    for side, other in pairwise(sides):
        for mine in side.cells:
            same = [column for column in other.cells if column.task == mine.task]
            if same and mine.task not in best:
                refuse_different(side, side.cells[mine], other, other.cells[same[0]])
    for column in shared:
        for side, other in combinations([side for side in sides if column in side.cells], 2):
            refuse_different(side, side.cells[column], other, other.cells[column])
    if not shared:
        tasks = [f"{s.name} has {', '.join(sorted({c.task for c in s.cells}))}" for s in sides]
        raise UserError(f"there is no task with results of two of them: {'; '.join(tasks)}")
    return shared


def refuse_different(side: Selected, cell: Cell, other: Selected, cell_b: Cell) -> None:
    """Refuse two results whose data, task, dtype, limit or versions differ."""
    a, b = cell.records[-1], cell_b.records[-1]
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
    if differing:
        raise UserError(
            f"{side.name} and {other.name} cannot be compared on {a.task}: they differ in "
            f"{', '.join(differing[:3])}{' and more' if len(differing) > 3 else ''}; run one of "
            "them again in the other's way"
        )

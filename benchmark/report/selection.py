"""The results that words of the command line name, and whether they can be compared."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from re import fullmatch
from typing import NamedTuple

from benchmark.core import UserError, unknown
from benchmark.report.cells import Cell, Cells, Row, TaskColumn, labels, row_of, tabulate
from benchmark.results.identity import differences
from benchmark.results.record import Record
from benchmark.results.storage import FOLDERS, KEY, load, load_all


class Selected(NamedTuple):
    """A model's results, at most one for each column of the tables."""

    name: str
    cells: Mapping[TaskColumn, Cell]
    folder: Path
    """The results folder, for predictions that are not among the committed ones."""


def select(words: Sequence[str], results: Path, methods: Collection[str] = ()) -> list[Selected]:
    """The results that each word names: a row of the tables, NAME@KEY, a key, a folder or a file.

    Rows are those of the results folder and the committed ones. methods: only of these.
    """
    committed = next((folder for folder in FOLDERS if folder.is_dir()), results)
    others = load_all(committed) if committed.resolve() != results.resolve() else []
    known = sorted([*others, *load_all(results)], key=lambda record: record.created)
    return [selected(word, known, results, methods) for word in words]


def selected(
    word: str, known: Sequence[Record], results: Path, methods: Collection[str]
) -> Selected:
    """The results that one word names."""
    path = Path(word).expanduser()
    name, _, key = ("", "@", word) if fullmatch(KEY, word) else word.partition("@")
    if path.exists():
        files = [f for level in range(5) for f in path.glob(f"{'*/' * level}seed*.json")]
        files = [path] if path.is_file() else [f for f in files if fullmatch(KEY, f.parent.name)]
        if not files:
            raise UserError(f"{word} has no Records; give a folder of results, or a model's name")
        known, results = [load(file) for file in files], files[0].absolute().parents[4]
        name, key, word = "", "", path.resolve().name
    known = [record for record in known if record.key.startswith(key)]
    if key and not known:
        raise UserError(f"no result in {results} has the key {key}; a key is the name of a folder")
    cells = tabulate(known)
    if known and not cells:
        raise UserError(f"{word} has only runs with limit=, which are not compared; run it whole")
    names = row_names(cells)
    exact = name in names.values()
    chosen = {
        row
        for row, label in names.items()
        if name in ("", label if exact else row.model)
        and (row.model_free or not methods or row.method in methods)
    }
    if not chosen:
        if methods and any(name in ("", row.model) for row in names):
            raise UserError(f"{word} has no results of method={','.join(methods)}")
        raise unknown("model", word, sorted({row.model for row in names}))
    found = {
        column: {r: c for r, c in rows.items() if r in chosen} for column, rows in cells.items()
    }
    for column, rows in found.items():
        if len(rows) > 1:
            raise ambiguous(word, column, rows, names)
    return Selected(
        word, {c: next(iter(rows.values())) for c, rows in found.items() if rows}, results
    )


def row_names(cells: Cells) -> dict[Row, str]:
    """Row -> its name in the tables of its method, without "(baseline)"."""
    rows = dict.fromkeys(row for found in cells.values() for row in found)
    names = dict[Row, str]()
    for method in dict.fromkeys(row.method for row in rows):
        names |= labels([row for row in rows if row.method == method])
    return {row: name.removesuffix(" (baseline)") for row, name in names.items()}


def ambiguous(
    word: str, column: TaskColumn, rows: Mapping[Row, Cell], names: Mapping[Row, str]
) -> UserError:
    """The refusal of a word that names several results of a task."""
    listed = [f"{names[row]}@{cell.records[-1].key} ({row.method})" for row, cell in rows.items()]
    several = len({row.method for row in rows}) > 1
    return UserError(
        f"{word} names {len(rows)} results of {column.task}: {', '.join(listed)}; add "
        f"{'method=NAME' if several else 'the settings in brackets'}, or give one as NAME@KEY"
    )


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
        for side, other in pairwise(side for side in sides if column in side.cells):
            refuse_different(side, side.cells[column], other, other.cells[column])
    if not shared:
        tasks = [f"{s.name} has {', '.join(sorted({c.task for c in s.cells}))}" for s in sides]
        raise UserError(f"there is no task with results of two of them: {'; '.join(tasks)}")
    return shared


def refuse_different(side: Selected, cell: Cell, other: Selected, cell_b: Cell) -> None:
    """Refuse two results whose data, task, dtype, limit or versions differ."""
    a, b = cell.records[-1], cell_b.records[-1]
    rows = row_of(a), row_of(b)
    parts = ["data.", "task.", "limit", "versions.task", "versions.evaluation"]
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
    if differing:
        raise UserError(
            f"{side.name} and {other.name} cannot be compared on {a.task}: they differ in "
            f"{', '.join(differing[:3])}{' and more' if len(differing) > 3 else ''}; run one of "
            "them again in the other's way"
        )

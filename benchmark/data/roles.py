"""What the columns of a table hold, the roles of `columns:`, and the splits they name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmark.core import Readout, UserError
from benchmark.data.cell_values import is_missing
from benchmark.data.sources import VALID_NAMES, Part

MAY_BE_ABSENT: Mapping[str, Sequence[str]] = {
    "id": ["id"],
    "split": ["split", "set"],
    "validation": ["validation"],
    "partner": ["interactor"],
    "mask": ["mask"],
}
"""Role -> columns of any case that have it where `columns` names none."""
ROLES = ("sequence", "label", "group", "fold", "test", *MAY_BE_ABSENT)
UNNAMED = "(no name)"
LEFT_OUT = ("pred", "prediction")
"""Splits without answers."""


class Division(NamedTuple):
    """A source's splits, the columns that divide it, and what was left out."""

    parts: dict[str, Part]
    columns: Sequence[str] = ()
    left_out: Mapping[str, int] = {}


FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def listed(columns: Mapping[str, Any], role: str) -> list[str]:
    """The columns that `columns` names for a role; several for sequences and labels alone."""
    names: Any = columns.get(role)
    several = isinstance(names, list | tuple) and role in ("sequence", "label")
    found = list(names) if several else [] if names is None else [names]
    wrong = not all(isinstance(name, str) and name for name in found)
    if wrong or len(set(found)) < len(found):
        raise UserError(f"task.columns.{role}={names} is not allowed; give the name of a column")
    return found


def used(columns: Mapping[str, Any], part: Part, readout: Readout) -> dict[str, list[str]]:
    """The columns of each role that a task reads; the partner of a pair is its last sequence."""
    found = {role: listed(columns, role) for role in ("sequence", "label")}
    if not found["sequence"] or not (found["label"] or readout.kind == "likelihood"):
        raise UserError("columns.sequence and columns.label have to name columns")
    if isinstance(columns.get("label"), list | tuple) and readout.kind != "multilabel":
        raise UserError(
            f"task.columns.label names {len(found['label'])} columns, which kind=multilabel reads "
            f"as one label each; kind={readout.kind} reads a single column"
        )
    optional = ["group", "fold", "id"] + ["partner"] * (readout.level == "protein")
    optional += ["mask"] * (readout.level in ("residue", "pair") and bool(found["label"]))
    if columns.get("mask") and "mask" not in optional:
        raise UserError(f"task.columns.mask is for answers per residue, not per {readout.level}")
    for name in (*found["sequence"], *found["label"]):
        require([name], part)
    found |= {role: [column] for role in optional if (column := find(role, columns, part))}
    return found | {"sequence": found["sequence"] + found.pop("partner", [])}


def find(role: str, columns: Mapping[str, Any], part: Part) -> str | None:
    """The column that has a role: the one that is named, or a usual one, or None."""
    names = part.table.column_names
    if named := listed(columns, role):
        require(named, part)
        return named[0]
    for usual in MAY_BE_ABSENT.get(role, ()):
        if found := [n for n in names if n == usual] or [n for n in names if n.lower() == usual]:
            if len(found) > 1 and role == "id":
                return None  # a name is no must
            if len(found) > 1:
                raise UserError(
                    f"{part.place} has the columns {' and '.join(found)}; name one as "
                    f"task.columns.{role}"
                )
            return str(found[0])
    return None


def require(wanted: Sequence[str], part: Part) -> None:
    """Refuse a table without these columns."""
    names = part.table.column_names
    if missing := [name for name in wanted if name not in names]:
        raise UserError(
            f"{part.place} has no column {missing[0]!r}; it has {shown(names)}; name the right "
            "one in the task's yaml (columns)"
        )


def shown(names: Sequence[str]) -> str:
    """The names of columns in a sentence."""
    return ", ".join(name or UNNAMED for name in names)


def complete(part: Part, column: str, what: str) -> list[str]:
    """The values of a column as text; a row without one is refused."""
    values = part.table[column].to_pylist()
    for row, value in enumerate(values):
        if is_missing(value):
            raise UserError(f"{part.where(row)} has no {what}; every row needs one")
    return [str(value) for value in values]


def divide(part: Part, columns: Mapping[str, Any], split: str = "") -> Division:
    """The rows of each split, in order of their first row.

    A row of train with a true flag for validation is one of valid. split: that of all rows.
    """
    column, flag = (
        None if split else find("split", columns, part),
        find("validation", columns, part),
    )
    if not (split or column):
        raise UserError(
            f"{part.place} has no column 'split', which names each row's split; it has "
            f"{shown(part.table.column_names)}; name it with task.columns.split"
        )
    count, left_out = part.table.num_rows, Counter[str]()
    flags = read_flags(part, flag) if flag else [False] * count
    names: list[str | None] = [split] * count
    for row, value in enumerate(part.table[column].to_pylist() if column else names):
        name = "" if is_missing(value) else str(value)
        if flags[row] and name not in ("", "train", *VALID_NAMES):
            raise UserError(
                f"{part.where(row)} is of split {name} and flagged for validation; only rows of "
                "train may be"
            )
        if not name and not flags[row]:
            raise UserError(f"{part.where(row)} has no split; allowed are train, valid and test")
        left_out[f"rows of the split {name}"] += name in LEFT_OUT
        names[row] = None if name in LEFT_OUT else "valid" if flags[row] else name
    return Division(part.by_value(names), list(filter(None, [column, flag])), dict(+left_out))


def read_flags(part: Part, column: str) -> list[bool]:
    """A column of true and false; missing is false."""
    cells = part.table[column].to_pylist()
    words = ["false" if is_missing(cell) else str(cell).strip().lower() for cell in cells]
    for row, word in enumerate(words):
        if word not in FLAGS:
            raise UserError(
                f"{part.where(row)} has {word!r} in the column {column!r}; allowed are true and "
                "false, for rows of train that are for validation"
            )
    return [FLAGS[word] for word in words]

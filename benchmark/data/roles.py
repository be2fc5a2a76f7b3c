"""What the columns of a table hold, the roles of `columns:`, and the splits they name."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmark.core import UserError, unknown
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
FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def check_columns(columns: Mapping[str, Any]) -> None:
    """Refuse unknown roles, and names that are no text."""
    for role, name in columns.items():
        if role not in ROLES:
            raise unknown("key of task.columns", str(role), ROLES)
        several = role in ("sequence", "label") and isinstance(name, list | tuple)
        names = list(name) if several else [name]
        if name is not None and not all(isinstance(n, str) and n for n in names):
            raise UserError(f"task.columns.{role}={name} is not allowed; give the name of a column")
        if len(set(names)) < len(names) or (several and not names):
            raise UserError(f"task.columns.{role}={list(names)} needs columns, each once")


def find(role: str, columns: Mapping[str, Any], part: Part) -> str | None:
    """The column that has a role: the one that is named, or a usual one, or None."""
    names = part.table.column_names
    if name := columns.get(role):
        require([name], part)
        return str(name)
    for usual in MAY_BE_ABSENT.get(role, ()):
        if found := [n for n in names if n == usual] or [n for n in names if n.lower() == usual]:
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


def divide(part: Part, columns: Mapping[str, Any]) -> tuple[dict[str, Part], Counter[str]]:
    """The rows of each split, in order of their first row, and the number left out.

    A row of train with a true flag for validation is one of valid.
    """
    split, flag = find("split", columns, part), find("validation", columns, part)
    if split is None:
        raise UserError(
            f"{part.place} has no column 'split', which names each row's split; it has "
            f"{shown(part.table.column_names)}; name it with task.columns.split"
        )
    names, left_out = part.table[split].to_pylist(), Counter[str]()
    flags = read_flags(part, flag) if flag else [False] * len(names)
    values = list[str | None]()
    for row, (value, flagged) in enumerate(zip(names, flags, strict=True)):
        name = "" if is_missing(value) else str(value)
        if flagged and name not in ("", "train", *VALID_NAMES):
            raise UserError(
                f"{part.where(row)} is of split {name} and flagged for validation; only rows of "
                "train may be"
            )
        if not name and not flagged:
            raise UserError(f"{part.where(row)} has no split; allowed are train, valid and test")
        left_out[f"rows of the split {name}"] += name in LEFT_OUT
        values.append(None if name in LEFT_OUT else "valid" if flagged else name)
    return part.by_value(values), +left_out


def divide_train(parts: dict[str, Part], columns: Mapping[str, Any]) -> dict[str, Part]:
    """Splits that are files of their own, with the flagged rows of train as valid."""
    if "train" not in parts or not (flag := find("validation", columns, parts["train"])):
        return parts
    flags = np.array(read_flags(parts["train"], flag))
    if not flags.any():
        return parts
    if both := set(parts) & set(VALID_NAMES):
        raise UserError(
            f"{parts['train'].place} has rows flagged for validation beside a split {min(both)}; "
            "leave one of them"
        )
    train = parts["train"]
    divided = {"train": train.take(np.flatnonzero(~flags)), "valid": train.take(flags.nonzero()[0])}
    return parts | divided


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

"""Which cells of the tables a user wants to see."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from benchmark.core import UserError, unknown
from benchmark.report.cells import Cell, Cells, Row, TaskColumn
from benchmark.report.suites import AREAS, built_in, names, tasks_of_suite

FILTERS = ("area", "suite", "task", "method", "family", "since", "max_parameters")
OF_ROWS = ("family", "since", "max_parameters")
"""Filters that published scores, of which less is known, do not pass."""
UNITS = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}


def select(cells: Cells, wanted: Mapping[str, str]) -> Cells:
    """The cells that every filter lets through, and of their columns and rows what is left."""
    checked = {name: check(name, wanted[name]) for name in FILTERS if name in wanted}
    found = {
        column: {row: cell for row, cell in rows.items() if fits(column, row, cell, checked)}
        for column, rows in cells.items()
    }
    known = {
        name
        for rows in cells.values()
        for row, cell in rows.items()
        for name in families(row, target_of(cell))
    }
    if "family" in wanted and wanted["family"] not in known:
        raise unknown("family", wanted["family"], sorted(known))
    if not any(found.values()):
        words = " ".join(f"{name}={wanted[name]}" for name in checked)
        raise UserError(f"there is no result for {words}; leave a filter out, or run it first")
    return {column: rows for column, rows in found.items() if rows}


def check(name: str, value: str) -> str | float | list[str]:
    """The value of a filter as it is compared."""
    if name == "area" and value not in AREAS:
        raise unknown("area", value, AREAS)
    if name == "suite":
        if not (tasks := tasks_of_suite(value)):
            raise unknown("suite", value, names("suite", [built_in()]))
        return tasks
    if name in ("task", "method"):
        return value.split(",")
    if name == "since":
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            raise UserError(f"since={value} is not a date; give one as since=2026-01-31") from None
    if name == "max_parameters":
        match = re.fullmatch(r"(\d+(?:\.\d+)?(?:e\d+)?)([kmb]?)", value.lower())
        if not match:
            raise UserError(f"max_parameters={value} is not a number; give one, as 8000000 or 8M")
        return float(match[1]) * UNITS[match[2]]
    return value


def fits(
    column: TaskColumn, row: Row, cell: Cell, wanted: Mapping[str, str | float | list[str]]
) -> bool:
    """Whether a cell passes all filters; a model of unknown size does not pass `max_parameters`."""
    record = cell.records[-1]
    size = 0 if row.model_free else record.backbone.get("parameters", 0 if row.baseline else None)
    tests: dict[str, Callable[[Any], bool]] = {
        "area": lambda value: column.area == value,
        "suite": lambda value: column.task in value,
        "task": lambda value: column.task in value,
        "method": lambda value: row.model_free or row.method in value,
        "family": lambda value: value in families(row, target_of(cell)),
        "since": lambda value: record.created >= value,
        "max_parameters": lambda value: size is not None and size <= value,
    }
    return all(tests[name](value) for name, value in wanted.items())


def target_of(cell: Cell) -> str:
    """The class of a cell's model."""
    return str(cell.records[-1].config["model"].get("_target_"))


def families(row: Row, target: str) -> set[str]:
    """The families of a model: the parts with which its name begins, its class, or `baseline`."""
    ends = [match.start() for match in re.finditer("[_-]", row.model)]
    parts = {row.model, *(row.model[:end] for end in ends)}
    return parts | {target.rpartition(".")[2].lower()} | ({"baseline"} if row.baseline else set())

"""CSV and JSON, for programs."""

import csv
import io
import json
import re
from typing import Any

from benchmark.report.table import ARROWS, Noted, Report, Table, Value
from benchmark.stats.seeds import Estimate


def as_csv(report: Report) -> str:
    """One line per row, missing and undefined values empty.

    Each part of an estimate that some row has is a column of its own, as is the direction of a
    metric. Several tables share one file: their titles are the column `table`.
    """
    stream, tables = io.StringIO(), [by_column(table) for table in report.tables]
    titles = ["table"] if len(tables) > 1 else []
    names = list(dict.fromkeys(name for columns in tables for name in columns))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(titles + names)
    for table, columns in zip(report.tables, tables, strict=True):
        parts = [[without_arrow(table.title)] * len(table.rows)] * len(titles)
        parts += [columns.get(name, [None] * len(table.rows)) for name in names]
        writer.writerows(zip(*parts, strict=True))
    return stream.getvalue().rstrip("\n")


def by_column(table: Table) -> dict[str, list[Any]]:
    """Name -> values of each column, and of the parts of estimates and remarks."""
    found: dict[str, list[Any]] = {}
    directions = {arrow: better for better, arrow in ARROWS.items() if arrow}
    for column, values in zip(table.columns, zip(*table.rows, strict=True), strict=False):
        if not {Estimate, Noted} & set(map(type, values)):
            found[column.name] = [value if value == value else None for value in values]
            better = [directions.get(str(v)[-2:]) for v in values if column.name == "metric"]
            if any(each is not None for each in better):
                found |= {"metric": [*map(without_arrow, values)], "higher_is_better": better}
            continue
        parts = dict[str, list[Any]]()
        for number, value in enumerate(values):
            for part, content in fields(value, undefined=None).items():
                name = "" if part in ("score", "value") else f" {part}"
                parts.setdefault(name, [None] * len(values))[number] = content
        filled = {part for part, contents in parts.items() if {*contents} - {None, ""}}
        filled -= set() if " sd" in filled else {" seeds"}  # one each
        for part, contents in parts.items():
            if not part or part in filled:
                found[f"{column.name}{part}"] = contents
    return found


def without_arrow(value: Value) -> Value:
    """A text without the arrow after the name of a metric; other values as they are."""
    return re.sub(" [↑↓]", "", value) if isinstance(value, str) else value


def as_json(report: Report) -> str:
    """Typed values, for programs.

        {"title", "text", "tables": [{"title", "notes", "columns": [{"name", "detail", "kind",
         "higher_is_better"}], "rows": [[value, ...], ...]}]}

    A value is a text or number; an estimate {"score", "low", "high", "sd", "seeds"}; a value with
    a remark {"value", "note"}; missing: null; undefined: "undefined".
    """
    kept = ("name", "detail", "kind", "higher_is_better")
    tables = [
        {
            "title": table.title,
            "notes": list(table.notes),
            "columns": [{name: getattr(column, name) for name in kept} for column in table.columns],
            "rows": [
                [parts["value"] if len(parts) == 1 else parts for parts in row]
                for row in ([fields(value, "undefined") for value in row] for row in table.rows)
            ],
        }
        for table in report.tables
    ]
    whole = {"title": report.title, "text": report.text, "tables": tables}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)


def fields(value: Value, undefined: str | None) -> dict[str, Any]:
    """A value and what qualifies it, by name; `undefined` stands for NaN."""
    if isinstance(value, Estimate):
        low, high = value.interval or (None, None)
        rest = {"low": low, "high": high, "sd": value.sd, "seeds": value.seeds}
        parts: dict[str, Any] = {"score": value.score, **rest}
    else:
        parts = value._asdict() if isinstance(value, Noted) else {"value": value}
    return {name: part if part == part else undefined for name, part in parts.items()}

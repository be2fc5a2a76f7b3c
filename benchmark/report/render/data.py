"""CSV and JSON, for programs."""

import csv
import io
import json
from typing import Any

from benchmark.report.table import Noted, Report, Table, Value
from benchmark.stats.seeds import Estimate


def as_csv(report: Report) -> str:
    """One line per row, missing and undefined values empty.

    Parts of an estimate have columns of their own. Several tables share one file: their titles are
    the column `table`.
    """
    parts = [csv_columns(table) for table in report.tables]
    names = list(dict.fromkeys(name for part in parts for name in part))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["table", *names] if len(parts) > 1 else names)
    for table, part in zip(report.tables, parts, strict=True):
        missing = [None] * len(table.rows)
        columns = [part.get(name, missing) for name in names]
        title = [[table.title] * len(table.rows)] if len(parts) > 1 else []
        writer.writerows(zip(*title, *columns, strict=True))
    return stream.getvalue().rstrip("\n")


def csv_columns(table: Table) -> dict[str, list[Any]]:
    """The columns of a table by name, each part of its values in a column of its own."""
    columns = dict[str, list[Any]]()
    for place, column in enumerate(table.columns):
        values = [row[place] for row in table.rows]
        if not any(isinstance(value, Estimate | Noted) for value in values):
            columns[column.name] = [value if value == value else None for value in values]
            continue
        parts = [
            {name.replace("value", "score"): part for name, part in fields(value, None).items()}
            for value in values
        ]
        for name in dict.fromkeys(name for part in parts for name in part):
            full = column.name if name == "score" else f"{column.name} {name}"
            columns[full] = [part.get(name) for part in parts]
    return columns


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

"""CSV and JSON, for programs."""

import csv
import io
import json
from typing import Any

from benchmark.report.table import Noted, Report, Value
from benchmark.stats.seeds import Estimate


def as_csv(report: Report) -> str:
    """One line per row, missing and undefined values empty.

    Parts of an estimate have columns of their own. Several tables share one file: their titles are
    the column `table`.
    """
    lines = []
    for table in report.tables:
        for row in table.rows:
            line: dict[str, Any] = {"table": table.title} if len(report.tables) > 1 else {}
            for name, value in zip([column.name for column in table.columns], row, strict=True):
                if not isinstance(value, Estimate | Noted):
                    line[name] = value if value == value else None
                    continue
                for part, content in fields(value, undefined=None).items():
                    line[name if part in ("score", "value") else f"{name} {part}"] = content
            lines.append(line)
    stream = io.StringIO()
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([names, *([line.get(name) for name in names] for line in lines)])
    return stream.getvalue().rstrip("\n")


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

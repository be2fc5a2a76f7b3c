"""JSON of typed values, for programs.

    {"title", "text", "tables": [{"title", "notes", "columns": [{"name", "detail", "kind",
     "higher_is_better"}], "rows": [[value, ...], ...]}]}

A value is a text or number; an estimate {"score", "low", "high", "sd", "seeds"}; a value with a
remark {"value", "note"}; missing: null; undefined: "undefined".
"""

import json
from math import isnan
from typing import Any

from benchmark.report.table import Noted, Report, Value
from benchmark.stats.seeds import Estimate


def render(report: Report, width: int) -> str:
    """The report as JSON."""
    tables = [
        {
            "title": table.title,
            "notes": list(table.notes),
            "columns": [
                {name: getattr(column, name) for name in ("name", "detail", "kind")}
                | {"higher_is_better": column.higher_is_better}
                for column in table.columns
            ],
            "rows": [[typed(value) for value in row] for row in table.rows],
        }
        for table in report.tables
    ]
    whole = {"title": report.title, "text": report.text, "tables": tables}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False)


def typed(value: Value) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Estimate):
        low, high = value.interval or (None, None)
        rest = {"low": low, "high": high, "sd": value.sd, "seeds": value.seeds}
        return {"score": typed(value.score), **rest}
    if isinstance(value, Noted):
        return {"value": value.value, "note": value.note}
    return "undefined" if isinstance(value, float) and isnan(value) else value

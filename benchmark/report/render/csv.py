"""CSV: one line per row. Several tables share one file, and their titles are the column `table`."""

import csv
import io
from math import isnan

from benchmark.report.table import Column, Noted, Report, Value
from benchmark.stats.seeds import Estimate


def render(report: Report, width: int) -> str:
    """The report as CSV; missing and undefined values are empty."""
    lines = []
    for table in report.tables:
        title = {"table": table.title} if len(report.tables) > 1 else {}
        for row in table.rows:
            line = dict[str, object](title)
            for column, value in zip(table.columns, row, strict=True):
                line |= fields(column, value)
            lines.append(line)
    stream = io.StringIO()
    names = dict.fromkeys(name for line in lines for name in line)
    writer = csv.DictWriter(stream, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue().rstrip("\n")


def fields(column: Column, value: Value) -> dict[str, object]:
    """A value by the name of its column; the parts of an estimate have columns of their own."""
    name = column.name
    if isinstance(value, Estimate):
        low, high = value.interval or ("", "")
        return {
            name: "" if isnan(value.score) else value.score,
            **{f"{name} low": low, f"{name} high": high},
            **{f"{name} sd": "" if value.sd is None else value.sd, f"{name} seeds": value.seeds},
        }
    if isinstance(value, Noted):
        return {name: "" if value.value is None else value.value, f"{name} note": value.note}
    return {name: "" if value is None or value != value else value}

"""Tables of one task each: its scores by stratum (`benchmark.stats.strata`), or all its methods."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any

from benchmark.core import UserError
from benchmark.data.homology import BANDS
from benchmark.report.cells import Cell, Cells, Column, Row, cell, headings, label
from benchmark.report.leaderboard import AREAS, describe, usage_of
from benchmark.results.record import WITHOUT_OVERLAP, Record


def by_identity(cells: Cells) -> str:
    """Each task's models by how near the test proteins are to train and valid, as Markdown."""
    names = headings(sorted({column for _, column in cells}))
    tables = {
        (column, row.method, test)
        for (row, column), found in cells.items()
        for test in ranked(found.records[-1])
    }
    if not tables:
        raise UserError(
            "no Record here has scores by identity; run `python -m benchmark audit TASK` first"
        )
    lines = [
        "# Scores by identity",
        "",
        "With the nearest protein of train or valid; n: test examples. `without overlap`: without "
        "the rows that are in train or valid, too.",
    ]
    for column, method, test in sorted(tables):
        rows = {row: c for row, c in rows_of(column, cells).items() if row.method == method}
        title = f"## {names[column]} · {method} · {test}: {measure(rows)}"
        lines += ["", title, "", *strata_table(rows, test)]
        if names[column] != column.task:
            lines += ["", describe(column, cells)]
    return "\n".join(lines) + "\n"


def by_method(cells: Cells) -> str:
    """Each task's models under all methods in one table, best first, with their cost."""
    found = {column for _, column in cells}
    columns = sorted(found, key=lambda column: (AREAS.index(column.area), column))
    names = headings(columns)
    lines = [
        "# All methods",
        "",
        "95 % intervals. FLOPs: what the run put through the backbone, forward and backward; "
        "vectors from the store cost none. Of several seeds the dearest counts.",
    ]
    for column in columns:
        rows = rows_of(column, cells)
        records = next(iter(rows.values())).records
        test, scored = next(iter(records[0].scored.items()))
        title = f"## {names[column]} · {test}: {measure(rows)}, n = {scored:,}"
        lines += ["", title, "", *method_table(rows)]
        if names[column] != column.task:
            lines += ["", describe(column, cells)]
    return "\n".join(lines) + "\n"


def rows_of(column: Column, cells: Cells) -> dict[Row, Cell]:
    """All that was measured of one task, best first."""
    rows = {row: found for (row, other), found in cells.items() if other == column}
    record = next(iter(rows.values())).records[0]
    sign = -1 if record.higher_is_better[record.primary] else 1
    return dict(sorted(rows.items(), key=lambda item: (isnan(item[1].score), sign * item[1].score)))


def measure(rows: Mapping[Row, Cell]) -> str:
    """The metric that ranks, and whither."""
    record = next(iter(rows.values())).records[0]
    return f"{record.primary} {'↑' if record.higher_is_better[record.primary] else '↓'}"


def method_table(rows: Mapping[Row, Cell]) -> list[str]:
    """Models and methods, in the order of `rows`."""
    lines = [["model", "method", "score", "trained parameters", "FLOPs", "seconds"]]
    lines += [["---"] * len(lines[0])]
    for row, found in rows.items():
        namesakes = [other for other in rows if other.method == row.method]
        spent = [usage_of(record) for record in found.records]
        numbers = [
            number([cost["trained_parameters"] for cost in spent], ","),
            number([(c["forward_flops"] or 0) + (c["backward_flops"] or 0) for c in spent], ".1e"),
            number([cost["seconds"] for cost in spent], ",.0f"),
        ]
        lines.append([label(row, namesakes), row.method, str(found), *numbers])
    return ["| " + " | ".join(line) + " |" for line in lines]


def number(values: Sequence[Any], form: str) -> str:
    """The largest over seeds; a dash if nothing is known of it."""
    known = [value for value in values if value not in ("", None, 0)]
    return format(max(known), form) if known else "–"


def strata_table(rows: Mapping[Row, Cell], test: str) -> list[str]:
    """Models, best first, by strata, nearest first."""
    records = [record for found in rows.values() for record in found.records]
    sizes = {
        name: stratum["examples"]
        for record in records
        for name, stratum in record.strata.get(test, {}).items()
    }
    shown = [name for name in (*BANDS, WITHOUT_OVERLAP) if name in sizes]
    first = records[0]
    up = bool(first.higher_is_better[first.primary])
    whole = {
        row: cell([replace(record, scores={test: record.scores[test]}) for record in found.records])
        for row, found in rows.items()
    }
    order = sorted(rows, key=lambda row: (isnan(whole[row].score), whole[row].score * (1 - 2 * up)))
    titles = [f"all, n = {first.scored[test]:,}"]
    titles += [f"{name}, n = {sizes[name]:,}" for name in shown]
    lines = [["model", *titles], ["---"] * (len(titles) + 1)]
    for row in order:
        parts = [cell([part(r, test, name) for r in rows[row].records]) for name in shown]
        lines.append([label(row, rows), str(whole[row]), *map(str, parts)])
    return ["| " + " | ".join(line) + " |" for line in lines]


def ranked(record: Record) -> list[str]:
    """The test sets with strata; of a cross-validated task the means over its folds."""
    means = set(record.scores) - set(record.data)
    return [test for test in record.strata if test in means or not means]


def part(record: Record, test: str, stratum: str) -> Record:
    """The Record as if the stratum were its only test set."""
    found = record.strata.get(test, {}).get(stratum, {"scores": {}, "intervals": {}})
    return replace(
        record, scores={stratum: found["scores"]}, intervals={stratum: found["intervals"]}
    )

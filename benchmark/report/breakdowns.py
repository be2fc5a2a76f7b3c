"""Tables of one task each: its scores by stratum (`benchmark.stats.strata`), or all its methods."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmark.core import UserError
from benchmark.data.homology import BANDS
from benchmark.report.cells import Cell, Cells, Row, cell, headings, labels, record_of
from benchmark.report.leaderboard import describe, is_higher_better, usage_of
from benchmark.report.table import ARROWS, Column, Report, Table, Value
from benchmark.results.record import WITHOUT_OVERLAP, Record


def by_identity(cells: Cells) -> Report:
    """Each task's scores by identity of the test proteins to their nearest in train and valid."""
    columns = sorted(cells, key=lambda column: column.order)
    names = headings(columns)
    tables = []
    for column in columns:
        notes = [describe(column, cells)] if names[column] != column.task else []
        for method in sorted({row.method for row in cells[column]}):
            rows = {row: c for row, c in cells[column].items() if row.method == method}
            tests = dict.fromkeys(t for c in rows.values() for t in ranked_tests(c.records[-1]))
            for test in sorted(tests):
                title = f"{names[column]} · {method} · {test}: {measure(rows)}"
                tables.append(strata_table(title, rows, test, notes))
    if not tables:
        raise UserError(
            "no Record here has scores by identity; run `python -m benchmark audit TASK` first"
        )
    text = (
        "Identity to the nearest protein of train or valid; n: test examples. `without overlap`: "
        "without the rows that are in train or valid, too."
    )
    return Report(tables, "Scores by identity", text)


def by_method(cells: Cells) -> Report:
    """Each task's models with all methods in one table, best first, with their cost."""
    columns = sorted(cells, key=lambda column: column.order)
    names = headings(columns)
    tables = []
    for column in columns:
        rows, record = cells[column], record_of(cells[column])
        test, scored = next(iter(record.scored.items()))
        title = f"{names[column]} · {test}: {measure(rows)}, n = {scored:,}"
        notes = [describe(column, cells)] if names[column] != column.task else []
        tables.append(method_table(title, rows, notes))
    text = (
        "95 % intervals. FLOPs: of the run's passes through the backbone, forward and backward; "
        "embeddings from the store cost none. For several seeds, the most expensive is shown."
    )
    return Report(tables, "All methods", text)


def measure(rows: Mapping[Row, Cell]) -> str:
    """The metric that ranks, and its better direction."""
    record = record_of(rows)
    return record.primary + ARROWS[record.higher_is_better[record.primary]]


def method_table(title: str, rows: Mapping[Row, Cell], notes: Sequence[str]) -> Table:
    """Models and methods, best first."""
    columns = [
        Column("model"),
        Column("method"),
        Column("score", "score", higher_is_better=is_higher_better(rows)),
        Column("trained parameters", "count"),
        Column("FLOPs", "scientific", 1),
        Column("seconds", "number", 0),
    ]
    names = {
        row: name
        for method in dict.fromkeys(row.method for row in rows)
        for row, name in labels([row for row in rows if row.method == method]).items()
    }
    lines = list[list[Value]]()
    for row, found in rows.items():
        costs = [usage_of(record) for record in found.records]
        flops = [(c["forward_flops"] or 0) + (c["backward_flops"] or 0) for c in costs]
        trained, seconds = ([c[name] for c in costs] for name in ("trained_parameters", "seconds"))
        known = [largest(trained), largest(flops), largest(seconds)]
        lines.append([names[row], row.method, found.estimate, *known])
    return Table(title, columns, lines, notes, names=2).ranked("score")


def largest(values: Sequence[Any]) -> Any:
    """The largest over seeds; None if nothing is known of it, or it is 0."""
    return max((value for value in values if value), default=None)


def strata_table(title: str, rows: Mapping[Row, Cell], test: str, notes: Sequence[str]) -> Table:
    """Models, best first, by strata, nearest first."""
    records = [record for found in rows.values() for record in found.records]
    sizes = {
        name: stratum["examples"]
        for record in records
        for name, stratum in record.strata.get(test, {}).items()
    }
    shown = [name for name in (*BANDS, WITHOUT_OVERLAP) if name in sizes]
    better = is_higher_better(rows)
    whole = f"all, n = {records[0].scored[test]:,}"
    titles = [whole, *(f"{name}, n = {sizes[name]:,}" for name in shown)]
    columns = [Column(name, "score", higher_is_better=better) for name in titles]
    names = labels(rows)
    lines = list[list[Value]]()
    for row, found in rows.items():
        total = [replace(r, scores={test: r.scores[test]}) for r in found.records]
        strata = [[part(r, test, name) for r in found.records] for name in shown]
        lines.append([names[row], *(cell(group).estimate for group in (total, *strata))])
    return Table(title, [Column("model"), *columns], lines, notes).ranked(whole)


def ranked_tests(record: Record) -> list[str]:
    """The test sets with strata; of a cross-validated task the means over its folds."""
    means = set(record.scores) - set(record.data)
    return [test for test in record.strata if test in means or not means]


def part(record: Record, test: str, stratum: str) -> Record:
    """The Record as if the stratum were its only test set."""
    found = record.strata.get(test, {}).get(stratum, {"scores": {}, "intervals": {}})
    return replace(
        record, scores={stratum: found["scores"]}, intervals={stratum: found["intervals"]}
    )

"""Tables of one task each: its scores by stratum (`benchmark.stats.strata`), or all its methods."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.core import UserError
from benchmark.data.homology import BANDS
from benchmark.report.cells import Cell, Cells, Row, headings, is_higher_better, labels, record_of
from benchmark.report.leaderboard import describe, usage_of
from benchmark.report.table import ARROWS, Column, Report, Table, Value
from benchmark.results.record import WITHOUT_OVERLAP, Record
from benchmark.stats.seeds import Estimate, estimate


def by_identity(cells: Cells) -> Report:
    """Each task's scores by identity of the test proteins to the nearest known protein.

    Scores against different proteins are in different tables.
    """
    tables = []
    for name, found, notes in by_task(cells):
        groups = defaultdict[tuple[str, str, str], dict[Row, Cell]](dict)
        for row, cell in found.items():
            audit = cell.records[-1].audit
            against = audit.get("against", ""), audit.get("file", "")
            groups[row.method, *against][row] = cell
        for method, digest, file in sorted(groups):
            rows = groups[method, digest, file]
            tests = {test for cell in rows.values() for test in ranked_tests(cell.records[-1])}
            for test in sorted(tests):
                title = f"{name} · {method} · {test}: {measure(rows)}"
                title += f" · against {file} (content {digest})" if digest else ""
                tables.append(strata_table(title, rows, test, notes))
    if not tables:
        raise UserError(
            "no Record here has scores by identity; run `python -m benchmark audit TASK` first"
        )
    text = (
        "Identity to the nearest protein of train or valid, or of the named file; n: test "
        "examples. `without overlap`: without the rows that are in train or valid, too."
    )
    return Report(tables, "Scores by identity", text)


def by_method(cells: Cells) -> Report:
    """Each task's models with all methods in one table, best first, with their cost."""
    tables = []
    for name, rows, notes in by_task(cells):
        test, scored = next(iter(record_of(rows).scored.items()))
        title = f"{name} · {test}: {measure(rows)}, n = {scored:,}"
        tables.append(method_table(title, rows, notes))
    text = (
        "95 % intervals. FLOPs: of the run's passes through the backbone, forward and backward; "
        "embeddings from the store cost none. For several seeds, the most expensive is shown."
    )
    return Report(tables, "All methods", text)


def by_task(cells: Cells) -> Iterator[tuple[str, dict[Row, Cell], list[str]]]:
    """Heading, rows and notes of each column."""
    for column, name in headings(list(cells)).items():
        yield name, cells[column], describe(column, cells)


def measure(rows: Mapping[Row, Cell]) -> str:
    """The metric that ranks, and its better direction."""
    record = record_of(rows)
    return record.primary + ARROWS[record.higher_is_better[record.primary]]


def method_table(title: str, rows: Mapping[Row, Cell], notes: Sequence[str]) -> Table:
    """Models and methods, best first."""
    columns = [
        *(Column("model"), Column("method")),
        Column("score", "score", higher_is_better=is_higher_better(rows)),
        *(Column("trained parameters", "count"), Column("FLOPs", "scientific", 1)),
        Column("seconds", "number", 0),
    ]
    names = dict[Row, str]()
    for method in {row.method for row in rows}:
        names |= labels([row for row in rows if row.method == method])
    lines = list[list[Value]]()
    for row, cell in rows.items():
        costs = [usage_of(record) for record in cell.records]
        flops = [(cost["forward_flops"] or 0) + (cost["backward_flops"] or 0) for cost in costs]
        trained, seconds = ([c[name] for c in costs] for name in ("trained_parameters", "seconds"))
        largest = [max(filter(None, x), default=None) for x in (trained, flops, seconds)]
        lines.append([names[row], row.method, cell.estimate, *largest])
    return Table(title, columns, lines, notes, names=2).ranked("score")


def strata_table(title: str, rows: Mapping[Row, Cell], test: str, notes: Sequence[str]) -> Table:
    """Models, best first, by strata, nearest first."""
    records = [record for cell in rows.values() for record in cell.records]
    sizes = {
        name: stratum["examples"]
        for record in records
        for name, stratum in record.strata.get(test, {}).items()
    }
    shown = [name for name in (*BANDS, WITHOUT_OVERLAP) if name in sizes]
    whole, better = f"all, n = {records[0].scored[test]:,}", is_higher_better(rows)
    titles = [whole, *(f"{name}, n = {sizes[name]:,}" for name in shown)]
    columns = [Column(name, "score", higher_is_better=better) for name in titles]
    names, lines = labels(rows), list[list[Value]]()
    for row, (_, found) in rows.items():
        parts = [[{"scores": r.scores[test], "intervals": r.intervals[test]} for r in found]]
        parts += [[r.strata.get(test, {}).get(name, {}) for r in found] for name in shown]
        lines.append([names[row], *(over_seeds(part, found[-1]) for part in parts)])
    return Table(title, [Column("model"), *columns], lines, notes).ranked(whole)


def over_seeds(parts: Sequence[Mapping[str, Any]], record: Record) -> Estimate | None:
    """The estimate for one stratum from its part in the Record of each seed; None without any."""
    scores, intervals = (
        [part.get(kind, {}).get(record.primary) for part in parts]
        for kind in ("scores", "intervals")
    )
    return estimate(scores, intervals, record.scale) if any(parts) else None


def ranked_tests(record: Record) -> list[str]:
    """The test sets with strata; of a cross-validated task the means over its folds."""
    means = set(record.scores) - set(record.data)
    return [test for test in record.strata if test in means or not means]

"""Tables of one task each: its scores by stratum (`benchmark.stats.strata`), or all its methods."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
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
        for method in sorted({row.method for row in found}):
            same = {row: cell for row, cell in found.items() if row.method == method}
            tests = {test for cell in same.values() for test in ranked_tests(cell.records[-1])}
            for test, (audit, rows) in product(sorted(tests), by_audit(same).items()):
                title = f"{name} · {method} · {test}: {measure(rows)}{audit}"
                tables.append(strata_table(title, rows, test, notes))
    if not tables:
        raise UserError(
            "no Record here has scores by identity; run `python -m benchmark audit TASK` first"
        )
    text = (
        "Identity to the nearest protein of train or valid, or of the named file; n: test "
        "examples. `without overlap`: without the examples that also occur in train or valid."
    )
    return Report(tables, "Scores by identity", text)


def by_audit(rows: Mapping[Row, Cell]) -> dict[str, Mapping[Row, Cell]]:
    """The rows of each audit, by what sets it apart; rows without bands are with each of them."""
    audits = {row: audit_of(cell.records[-1]) for row, cell in rows.items()}
    known = {text: json.loads(text) for text in dict.fromkeys(audits.values()) if text}
    if not known:
        return {"": rows}
    found = dict[str, Mapping[Row, Cell]]()
    for text, audit in known.items():
        digest, file = audit.pop("against", ""), audit.pop("file", "")
        against = f" · against {file} (content {digest})" if digest else ""
        own = [f"{k} {v}" for k, v in audit.items() if any(o.get(k) != v for o in known.values())]
        mine = {row: cell for row, cell in rows.items() if audits[row] in ("", text)}
        found[against + (f" · audit with {', '.join(own)}" if own else "")] = mine
    return found


def audit_of(record: Record) -> str:
    """JSON of the program and parameters that define the Record's bands; "" without bands."""
    has_bands = any(name in BANDS for parts in record.strata.values() for name in parts)
    return json.dumps(record.audit, sort_keys=True) if has_bands else ""


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
    scored = record_of(rows).scored[test]
    strata = {row: strata_of(cell, test) for row, cell in rows.items()}
    sizes = {
        name: stratum["examples"]
        for seeds in strata.values()
        for parts in seeds
        for name, stratum in parts.items()
    }
    shown = [name for name in (*BANDS, WITHOUT_OVERLAP) if name in sizes]
    whole, better = f"all, n = {scored:,}", is_higher_better(rows)
    titles = [whole, *(f"{name}, n = {sizes[name]:,}" for name in shown)]
    columns = [Column(name, "score", higher_is_better=better) for name in titles]
    names, lines = labels(rows), list[list[Value]]()
    for row, (_, found) in rows.items():
        parts = [[{"scores": r.scores[test], "intervals": r.intervals[test]} for r in found]]
        parts += [[its.get(name, {}) for its in strata[row]] for name in shown]
        lines.append([names[row], *(over_seeds(part, found[-1]) for part in parts)])
    return Table(title, [Column("model"), *columns], lines, notes).ranked(whole)


def strata_of(cell: Cell, test: str) -> list[Mapping[str, Any]]:
    """The strata of each seed; none of a seed with another audit than the last one."""
    last = audit_of(cell.records[-1])
    return [r.strata.get(test, {}) if audit_of(r) == last else {} for r in cell.records]


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

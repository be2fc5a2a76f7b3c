"""Tables of generated sequences: a few scores of each set, next to natural proteins."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmark.report.cells import Cell, Cells, Row, headings, labels, record_of
from benchmark.report.table import Column, Table, Value
from benchmark.results.record import Record
from benchmark.stats.seeds import Estimate, estimate

SHOWN = {
    "judge_perplexity": "judge ppl",
    "nearest_identity": "identity",
    "without_hit": "no hit",
    "clusters_per_100": "clusters",
    "repeats_3": "repeats",
    "low_complexity": "low compl.",
    "mmd": "MMD",
}
"""Metric -> column; they fit 80 characters with a row's name."""
WORDS = {"refill": "mask-refill"}
"""What tables call a way of sampling that the choices of a Record name."""


def is_generation(rows: Mapping[Row, Cell]) -> bool:
    """Whether a column is of a task of generation."""
    return "clusters_per_100" in record_of(rows).higher_is_better


def kind_of(row: Row, cell: Cell) -> str:
    """How a row's sequences were sampled; "" of natural proteins."""
    kind = str(cell.records[-1].choices.get("sampling", ""))
    return "" if row.model_free else WORDS.get(kind, kind)


def sets(cells: Cells) -> Iterator[tuple[str, dict[Row, Cell]]]:
    """Title and rows of each table: those of causal models and of mask-refill apart."""
    found = {column: rows for column, rows in cells.items() if is_generation(rows)}
    for column, name in headings(list(found)).items():
        rows = found[column]
        kinds = {kind_of(row, cell) for row, cell in rows.items()}
        for kind in sorted(kinds - {""}) or [""]:
            judge = record_of(rows).config["task"].get("judge")
            title = f"{name.capitalize()}{f' · {kind}' if kind else ''} · judge {judge}"
            mine = {r: cell for r, cell in rows.items() if kind_of(r, cell) in (kind, "")}
            yield f"{title}, n = {next(iter(record_of(rows).scored.values())):,}", mine


def generation_tables(cells: Cells) -> list[Table]:
    """A table for each task, and for causal models and mask-refill."""
    tables = []
    for title, rows in sets(cells):
        better = record_of(rows).higher_is_better
        columns = [Column("model")]
        for metric, name in SHOWN.items():
            columns.append(Column(name, "number", 2 if metric != "mmd" else 3, better.get(metric)))
        lines: list[list[Value]] = [
            [name, *(score(rows[row], metric) for metric in SHOWN)]
            for row, name in names_of(rows).items()
        ]
        tables.append(Table(title, columns, lines).ranked("judge ppl"))
    return tables


def names_of(rows: Mapping[Row, Cell]) -> dict[Row, str]:
    """Row names, with marks of mask-refill and of sequences that the judge made itself."""
    return {
        row: name
        + (f" ({WORDS['refill']})" if kind_of(row, rows[row]) == WORDS["refill"] else "")
        + (" (self-judged)" if self_judged(rows[row].records[-1]) else "")
        for row, name in labels(rows.keys()).items()
    }


def self_judged(record: Record) -> bool:
    """Whether judge and generator are the same weights."""
    return bool(record.choices.get("judge", {}).get("self_judged"))


def score(cell: Cell, metric: str) -> float | None:
    """A metric's mean over seeds on the first test set; None: not measured, NaN: undefined."""
    if not all(metric in record.higher_is_better for record in cell.records):
        return None
    return estimated(cell, metric).score


def estimated(cell: Cell, metric: str) -> Estimate:
    """A metric's mean over seeds on the first test set, with its own interval; NaN: undefined."""
    tests = [(record, next(iter(record.scores))) for record in cell.records]
    scores = [record.scores[test].get(metric) for record, test in tests]
    intervals = [record.intervals[test].get(metric) for record, test in tests]
    return estimate(scores, intervals, cell.records[-1].scales.get(metric, "identity"))


def settings_of(cell: Cell) -> tuple[float, float] | None:
    """Temperature and top-p of a row; None of rows without them, as natural proteins."""
    known: Sequence[Any] = [
        cell.records[-1].settings.get(f"method.{name}") for name in ("temperature", "top_p")
    ]
    return None if None in known else (float(known[0]), float(known[1]))

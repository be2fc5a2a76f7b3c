"""Tables of generated sequences: a few scores of each set, and single sequences."""

from collections.abc import Iterator, Mapping, Sequence
from math import exp, nan
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmark.report.cells import Cell, Cells, Row, headings, labels, record_of
from benchmark.report.table import Column, Report, Table, Value
from benchmark.results.predictions import read_predictions
from benchmark.results.record import Record

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
TEXT = (
    "Natural: held-out natural proteins, which the other rows are read against. Judge ppl: "
    "perplexity under the judge. Identity: to the nearest natural protein, of the sequences with a "
    "hit; no hit: share of the others. Clusters: at 50 % identity, per 100 sequences. Repeats: "
    "share of repeated 3-grams. Low compl.: share of residues in segments of low complexity. MMD: "
    "squared, between embeddings of generated and natural sequences."
)
NOVEL = 0.5
"""Sequences below this identity are novel."""
FEW = 3
"""Sequences shown of each row."""
REFILL, CAUSAL = "mask-refill", "causal"


def is_generation(rows: Mapping[Row, Cell]) -> bool:
    """Whether a column is of a task of generation."""
    return "clusters_per_100" in record_of(rows).higher_is_better


def kind_of(row: Row, cell: Cell) -> str:
    """How a row's sequences were made; "" of natural proteins."""
    if row.model_free:
        return ""
    return REFILL if cell.records[-1].choices.get("sampling") == REFILL else CAUSAL


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
    """Row names, with a mark where the judge made the sequences itself."""
    return {
        row: name + (" (self-judged)" if self_judged(rows[row].records[-1]) else "")
        for row, name in labels(rows.keys()).items()
    }


def self_judged(record: Record) -> bool:
    """Whether judge and generator are the same weights."""
    return bool(record.choices.get("judge", {}).get("self_judged"))


def score(cell: Cell, metric: str) -> float | None:
    """A metric's mean over seeds on the first test set; None: not measured, NaN: undefined."""
    if not all(metric in record.higher_is_better for record in cell.records):
        return None
    return fmean(next(iter(record.scores.values())).get(metric, nan) for record in cell.records)


def by_generation(cells: Cells, results: Path) -> Report:
    """The tables, novel sequences that the judge finds most natural, and figures as PNG files."""
    from benchmark.report.generation_figures import write_figures

    tables = [*generation_tables(cells)]
    for title, rows in sets(cells):
        columns = [Column("model"), Column("sequence"), Column("residues", "count")]
        columns += [Column("judge ppl", "number", 2, False), Column("low compl.", "number", 2)]
        columns += [Column("nearest"), Column("identity", "number", 2)]
        lines = [
            [name, *line]
            for row, name in names_of(rows).items()
            if not row.model_free
            for line in most_natural(rows[row].records[-1], results)
        ]
        if lines:
            novel = f"Most natural of the novel sequences (identity below {NOVEL:.0%})"
            tables.append(Table(f"{novel} · {title}", columns, lines))
    figures = write_figures(cells, results)
    drawn = f" Figures: {', '.join(map(str, figures))}." if figures else ""
    return Report(tables, "Generation", TEXT + drawn)


def most_natural(record: Record, results: Path) -> list[list[Value]]:
    """The novel sequences of lowest perplexity under the judge; [] where they are not stored."""
    from benchmark.metrics.generation.composition import low_entropy

    path = results / record.path
    if not path.with_suffix(".parquet").exists():
        return []
    known = [row for row in read_predictions(path).rows() if is_novel(row)]
    best = sorted(known, key=lambda row: -float(row["judge"]))[:FEW]
    return [
        [
            *(row["id"], len(row["sequence"]), exp(-row["judge"])),
            *(float(low_entropy(row["sequence"]).mean()), row["nearest"] or "no hit"),
            row["identity"] or None,
        ]
        for row in best
    ]


def is_novel(row: Mapping[str, Any]) -> bool:
    """Whether a stored sequence was searched and judged, and is far from natural proteins."""
    return bool(row["judge"] == row["judge"] and row["identity"] < NOVEL)


def settings_of(cell: Cell) -> tuple[float, float] | None:
    """Temperature and top-p of a row; None of natural proteins and mask-refill."""
    known: Sequence[Any] = [
        cell.records[-1].settings.get(f"method.{name}") for name in ("temperature", "top_p")
    ]
    return None if None in known else (float(known[0]), float(known[1]))

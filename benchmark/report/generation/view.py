"""The view by=generation: tables, novel sequences, and figures."""

from collections.abc import Mapping
from math import exp
from pathlib import Path
from typing import Any

from benchmark.metrics.generation.composition import low_entropy
from benchmark.report.cells import Cells
from benchmark.report.generation.figures import write_figures
from benchmark.report.generation.tables import generation_tables, names_of, sets
from benchmark.report.table import Column, Report, Table, Value
from benchmark.results.predictions import read_predictions
from benchmark.results.record import Record

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


def by_generation(cells: Cells, results: Path) -> Report:
    """The tables, novel sequences that the judge finds most natural, and figures as PNG files."""
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

"""Ranks with intervals, and which models are tied with the best."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from benchmark.core import Array, UserError
from benchmark.report.breakdowns import measure
from benchmark.report.cells import (
    Cell,
    Cells,
    Row,
    TaskColumn,
    headings,
    is_higher_better,
    labels,
)
from benchmark.report.leaderboard import describe, grouped, members
from benchmark.report.resampled import StoredRun, over_tasks, ranking_score, without_mean
from benchmark.report.table import Column, Report, Table, Value
from benchmark.stats.paired import Resampled
from benchmark.stats.ranks import ranks, share_of_wins, task_intervals, unit_intervals
from benchmark.stats.trend import tied_with

TEXT = (
    "Ranks have 95 % intervals from a bootstrap over the resampling units of each task, drawn for "
    "all models together, and, in a separate column, over tasks (with five tasks or more). Tied: "
    "not significantly worse than the best, by paired tests with Holm's correction over the other "
    "models. Wins: share of comparisons won, over all other models and tasks; a tie counts half. "
    "Only models with all tasks, with the same weights, have a mean."
)
Found = dict[Row, Resampled]
RANKS = (Column("rank", "number", 0), Column("rank over units"), Column("standing"))
UNKNOWN: list[Value] = [None] * len(RANKS)


def by_rank(cells: Cells, results: Path) -> Report:
    """For each area and method a table of means over its tasks, and one of each task."""
    tables, read = list[Table](), dict[tuple[TaskColumn, Row], Resampled | None]()
    for title, _, mine, expected in grouped(cells):
        found = dict[TaskColumn, Found]()
        for column, rows in mine.items():
            for row, cell in rows.items():
                if (column, row) not in read:
                    read[column, row] = read_cell(cell, results)
            found[column] = {row: own for row in rows if (own := read[column, row])}
        averaged = members(mine, expected)
        if 1 < len(averaged) == len(expected):
            mixed = with_mixed_weights([mine[column] for column in averaged])
            parts = [
                (
                    {r: own for r, own in found[c].items() if r not in mixed},
                    is_higher_better(mine[c]),
                )
                for c in averaged
            ]
            tables += mean_table(f"{title}: mean of {len(parts)} tasks", parts)
        for column, name in headings(list(mine)).items():
            heading, notes = f"{title}: {name}, {measure(mine[column])}", describe(column, mine)
            tables.append(task_table(heading, mine[column], found[column], notes))
    return Report(tables, "Ranks", TEXT)


def with_mixed_weights(tasks: Sequence[Mapping[Row, Cell]]) -> set[Row]:
    """Rows with other weights in some task than in others, which have no mean."""
    weights = defaultdict[Row, set[object]](set)
    for rows in tasks:
        for row, cell in rows.items():
            weights[row].add(cell.records[-1].backbone.get("digest"))
    return {row for row, digests in weights.items() if len(digests) > 1}


def read_cell(cell: Cell, results: Path) -> Resampled | None:
    """A row's first metric on its first test set; None: what it needs is not stored."""
    try:
        found = ranking_score([StoredRun.read(record, results) for record in cell.records])
    except (UserError, KeyError):
        return None
    return found if found and isfinite(found.score) else None


def task_table(title: str, rows: Mapping[Row, Cell], found: Found, notes: Sequence[str]) -> Table:
    """The rows of one task, best first."""
    better, names = is_higher_better(rows), labels(rows)
    columns = [Column("model"), Column("score", "score", higher_is_better=better), *RANKS]
    standing = standings(found, better)
    lines: list[list[Value]] = [
        [names[row], cell.estimate, *standing.get(row, UNKNOWN)] for row, cell in rows.items()
    ]
    if missing := len(rows) - len(found):
        notes = [*notes, f"{missing} rows have no rank: their predictions are not stored"]
    return Table(title, columns, lines, notes).ranked("score")


def mean_table(title: str, parts: Sequence[tuple[Found, bool]]) -> list[Table]:
    """The rows that have all tasks, by their mean score; none of tasks with unlike directions.

    parts: of each task the results, and whether higher is better.
    """
    better, (means, unequal) = parts[0][1], over_tasks([found for found, _ in parts])
    if len(means) < 2 or any(other != better for _, other in parts):
        return []
    rows, sign = list(means), 1 if better else -1
    scores = np.array([[found[row].score for found, _ in parts] for row in rows])
    standing, others = standings(means, better), task_intervals(sign * scores)
    names, wins = labels(rows), share_of_wins(sign * scores)
    lines: list[list[Value]] = [
        [
            *(names[row], scores[k].mean(), ranks(sign * scores)[k].mean(), wins[k]),
            *(*standing[row], *([] if others is None else [as_text(others[k])])),
        ]
        for k, row in enumerate(rows)
    ]
    columns = [
        *(Column("model"), Column("mean score", "number", higher_is_better=better)),
        *(Column("mean rank", "number", 1), Column("wins", "share", 0)),
        *(*RANKS, *([] if others is None else [Column("rank over tasks")])),
    ]
    notes = without_mean(list(labels(unequal).values()))
    return [Table(title, columns, lines, notes).ranked("mean score")]


def standings(found: Found, better: bool) -> dict[Row, list[Value]]:
    """Rank, its interval over units, and whether a row is tied with the best one."""
    rows = list(found)
    if not rows:
        return {}
    sign = 1 if better else -1
    scores = sign * np.array([own.score for own in found.values()])
    draws = sign * np.stack([own.draws.mean(axis=0) for own in found.values()])
    best = rows[int(scores.argmax())]
    tied, order, limits = tied_with(found, best), ranks(scores), unit_intervals(scores, draws)
    return {
        row: [
            *(float(order[k]), as_text(limits[k]) if limits is not None and own.enough else None),
            "best" if row == best else "tied" if row in tied else None,
        ]
        for k, (row, own) in enumerate(found.items())
    }


def as_text(limits: Array) -> str:
    """An interval of ranks."""
    low, high = limits
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"

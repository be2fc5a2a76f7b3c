"""The scores of the checkpoints of a training against its progress."""

from collections.abc import Mapping, Sequence
from math import ceil, hypot, isfinite, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.files import replacing
from benchmark.report.cells import Cell, TaskColumn, cell, column_of
from benchmark.report.resampled import StoredRun, over_tasks, ranking_score, without_mean
from benchmark.report.table import ARROWS, Column, Report, Table, Value, estimated
from benchmark.results.record import Record, mean_of
from benchmark.stats.bootstrap import FEWEST_UNITS
from benchmark.stats.intervals import quantile
from benchmark.stats.paired import Resampled, difference, sampling
from benchmark.stats.seeds import Estimate
from benchmark.stats.trend import Trend, trend

FAR = 20
"""A logarithmic axis shows places whose ratio is larger than this."""


class Checkpoint(NamedTuple):
    """A checkpoint, and its Records."""

    name: str
    place: float
    """How far it was trained: on the axis of the series."""
    records: Sequence[Record]


def series(checkpoints: Sequence[Checkpoint], axis: str, results: Path) -> Report:
    """A table for each task and method, and for the mean of an area over several tasks."""
    rows: dict[tuple[TaskColumn, str], dict[int, Cell]] = {}
    for number, checkpoint in enumerate(checkpoints):
        groups: dict[tuple[TaskColumn, str], list[Record]] = {}
        for record in checkpoint.records:
            groups.setdefault((column_of(record), record.method), []).append(record)
        for key, records in groups.items():
            rows.setdefault(key, {})[number] = cell(records)
    tables, areas = list[Table](), dict[tuple[str, str], list[dict[int, Resampled]]]()
    for (column, method), cells in rows.items():
        first = next(iter(cells.values())).records[0]
        metric, test = first.primary, next(iter(first.scores))
        better = bool(first.higher_is_better[metric])
        known = dict[int, Resampled]()
        for number, c in cells.items():
            found = ranking_score([StoredRun.read(record, results) for record in c.records])
            if found and isfinite(found.score):
                known[number] = found
        measure = [f"{metric}{ARROWS[better]}", mean_of(first), f"n = {first.scored[test]:,}"]
        measure += [f"limit={first.limit}"] if first.limit is not None else []
        title = f"{column.task} · {method}: {', '.join(filter(None, measure))}"
        estimates = {number: c.estimate for number, c in cells.items()}
        tables.append(table(title, checkpoints, axis, estimates, known, better))
        if better:
            areas.setdefault((column.area, method), []).append(known)
    for (area, method), parts in areas.items():
        if len(parts) > 1:
            means, unequal = over_tasks(parts)
            notes = without_mean([checkpoints[number].name for number in unequal])
            title = f"{area.replace('_', ' ')} · {method}: mean of {len(parts)} tasks ↑"
            tables.append(table(title, checkpoints, axis, {}, means, True, notes))
    text = (
        "Tied: not significantly worse than the best, by paired tests with Holm's correction over "
        "the other checkpoints. Drop: the first that is significantly worse than an earlier one, "
        "with Holm's correction over all pairs. Change: from the checkpoint before."
    )
    count = f"{len(checkpoints)} checkpoint{'s' * (len(checkpoints) != 1)}"
    return Report(tables, f"{count} by {axis}", text)


def table(
    title: str,
    checkpoints: Sequence[Checkpoint],
    axis: str,
    estimates: Mapping[int, Estimate],
    known: Mapping[int, Resampled],
    better: bool,
    notes: Sequence[str] = (),
) -> Table:
    """One row for each checkpoint: its score, the change from the one before, how it stands."""
    found = trend(known, better) if known else None
    rows = list[list[Value]]()
    earlier: Resampled | None = None
    for number, checkpoint in enumerate(checkpoints):
        own = known.get(number)
        change = estimated(difference(own, earlier)) if own and earlier else None
        score = estimates.get(number) or (mean_estimate(own) if own else None)
        rows.append([checkpoint.name, checkpoint.place, score, change, standing(found, number)])
        earlier = own or earlier
    if found:
        drop = "no significant drop"
        if found.drop:
            later, before = (checkpoints[number].name for number in found.drop[:2])
            loss, p = found.drop[2:]
            drop = f"first significant drop: {later}, {loss:.3f} worse than {before} (p = {p:.2g})"
        notes = [*notes, f"best: {checkpoints[found.best].name}; {drop}"]
    columns = [
        *(
            Column("checkpoint"),
            Column(axis, "number" if axis == "step" else "scientific", 0 if axis == "step" else 2),
        ),
        Column("score", "score", higher_is_better=better, bold_best=True),
        *(Column("change", "score"), Column("standing")),
    ]
    return Table(title, columns, rows, notes)


def standing(found: Trend | None, number: int) -> str | None:
    """Whether a checkpoint is the best, tied with it, or the first drop."""
    if found is None:
        return None
    words = ["best"] if number == found.best else ["tied"] if number in found.tied else []
    words += ["drop"] if found.drop and found.drop.later == number else []
    return ", ".join(words) or None


def mean_estimate(own: Resampled) -> Estimate:
    """The mean over tasks with its 95 % interval; of several seeds as in `stats.seeds`."""
    n, half = len(own.scores), 0.0
    _, error, freedom = sampling(own.score, [(np.full(n, 1 / n), own)])
    if n > 1:
        half = quantile(n - 1) * sqrt(own.between[0])
    half = hypot(quantile(freedom) * error, half)
    known = len(own.groups) >= FEWEST_UNITS and isfinite(half)
    sd = float(np.std(own.scores, ddof=1)) if n > 1 else None
    return Estimate(own.score, sd, (own.score - half, own.score + half) if known else None, n)


def draw(report: Report, axis: str, file: Path) -> None:
    """A panel for each table: scores with intervals; a star is the best, a ring the first drop."""
    from matplotlib.figure import Figure

    wide = ceil(sqrt(len(report.tables)))
    high = ceil(len(report.tables) / wide)
    figure = Figure(figsize=(4.5 * wide, 3.3 * high), layout="constrained")
    panels = figure.subplots(high, wide, squeeze=False).ravel()
    for panel in panels[len(report.tables) :]:
        panel.set_axis_off()
    for panel, table in zip(panels, report.tables, strict=False):
        places, scores, errors = list[float](), list[float](), list[tuple[float, float]]()
        for _, place, score, _, words in table.rows:
            if not isinstance(score, Estimate) or not isinstance(place, float):
                continue
            low, high_end = score.interval or (score.score, score.score)
            places.append(place)
            scores.append(score.score)
            errors.append((score.score - low, high_end - score.score))
            for mark, word in (("*", "best"), ("o", "drop")):
                if word in str(words):
                    panel.plot(place, score.score, mark, ms=14, mfc="none", color="black")
        panel.errorbar(places, scores, np.transpose(errors), fmt=".-", capsize=3)
        if places and min(places) > 0 and max(places) > FAR * min(places):
            panel.set_xscale("log")
        if len(set(places)) == 1:
            half = places[0] / 2 or 1
            panel.set(xticks=places[:1], xlim=(places[0] - half, places[0] + half))
        panel.set_title(table.title, fontsize="small", wrap=True)
        panel.set_xlabel(axis)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as new:
        figure.savefig(new, format="png", dpi=120)

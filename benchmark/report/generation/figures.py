"""Figures of generated sequences: what the papers compare, and quality against diversity."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmark.files import replacing
from benchmark.report.cells import Cell, Cells, Row
from benchmark.report.generation.tables import estimated, names_of, sets, settings_of

BANDS = {
    "no hit": "without_hit",
    "below 50 %": "identity_below_50",
    "50–90 %": "identity_50_90",
    "from 90 %": "identity_from_90",
}
"""Identity band -> metric."""
CONTENT = ("helix", "strand", "coil", "low_complexity", "repeats_3")
QUALITY, DIVERSITY = "judge_perplexity", "pairwise_identity"
BY_TEMPERATURE = ("clusters_per_100", "low_complexity", "mmd")
LABELS = {
    "judge_perplexity": "perplexity under the judge",
    "clusters_per_100": "clusters at 50 % per 100 sequences",
    "pairwise_identity": "mean identity of two sequences (lower: more diverse)",
    "low_complexity": "share of residues in low complexity",
    "mmd": "squared MMD to natural proteins",
}
DPI = 150
NATURAL = "natural"
LINE = {"color": "black", "linestyle": "--", "linewidth": 1}
GREYS = ("dimgrey", "darkgrey", "black")
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.08), "frameon": False}
"""Of legends under the axes, where they hide nothing."""


def write_figures(cells: Cells, results: Path) -> list[Path]:
    """Write `generation*.png`: the panels of each table, and a grid of settings if it has one."""
    from matplotlib.figure import Figure

    written = []
    results.mkdir(parents=True, exist_ok=True)
    for number, (title, rows) in enumerate(sets(cells), 1):
        end = "" if number == 1 else f"_{number}"
        drawn = [(draw_panels, f"generation{end}.png", 5 + 0.5 * len(rows))]
        if grid_of(rows):
            drawn.append((draw_grid, f"generation_grid{end}.png", 8))
        for draw, name, height in drawn:
            figure = Figure(figsize=(12, height), layout="constrained")
            draw(figure, rows)
            figure.suptitle(title)
            with replacing(results / name) as file:
                figure.savefig(file, format="png", dpi=DPI)
            written.append(results / name)
    return written


def draw_panels(figure: Any, rows: Mapping[Row, Cell]) -> None:
    """Perplexity, novelty, diversity and content of each row; natural proteins as dashed lines."""
    named = names_of(rows)
    order = sorted(rows, key=lambda row: (value(rows[row], QUALITY), named[row]))
    (perplexity, novelty), (diversity, content) = figure.subplots(2, 2, sharey=True)
    places = range(len(order))
    natural = next((rows[row] for row in rows if row.model == NATURAL), None)
    for axes, metric in ((perplexity, QUALITY), (diversity, "clusters_per_100")):
        axes.barh(places, [value(rows[row], metric) for row in order], color="tab:blue")
        for place, row in enumerate(order):
            if interval := estimated(rows[row], metric).interval:
                axes.hlines(place, *interval, color="black")
        axes.set_title(LABELS[metric])
        if natural:
            axes.axvline(value(natural, metric), label=NATURAL, **LINE)
            axes.legend(**BELOW)
    total = [0.0] * len(order)
    for name, metric in BANDS.items():
        shares = [value(rows[row], metric) for row in order]
        novelty.barh(places, shares, left=total, label=name)
        total = [a + b for a, b in zip(total, shares, strict=True)]
    novelty.set_title("share by identity to the nearest natural protein")
    novelty.legend(ncols=len(BANDS), columnspacing=1, handlelength=1, **BELOW)
    for at, metric in enumerate(CONTENT):
        shares = [value(rows[row], metric) for row in order]
        label, color = metric.replace("_", " "), f"C{at}"
        content.plot(shares, places, marker="o", linestyle="", color=color, label=label)
        if natural:
            content.axvline(value(natural, metric), **{**LINE, "color": color})
    content.set_title("predicted structure, low complexity and repeats (shares)")
    content.legend(ncols=len(CONTENT), columnspacing=1, handletextpad=0, **BELOW)
    perplexity.set_yticks(list(places), [named[row] for row in order])
    perplexity.invert_yaxis()


def value(cell: Cell, metric: str) -> float:
    """A score; NaN where it is undefined or was not measured, which is not drawn."""
    return estimated(cell, metric).score


def grid_of(rows: Mapping[Row, Cell]) -> dict[tuple[str, float], list[tuple[float, Cell]]]:
    """Model and top-p -> temperatures with their cells, of models with several settings."""
    known = {row: s for row, cell in rows.items() if (s := settings_of(cell))}
    models = [row.model for row in known]
    found = defaultdict[tuple[str, float], list[tuple[float, Cell]]](list)
    for row, (temperature, top_p) in known.items():
        if models.count(row.model) > 1:
            found[row.model, top_p].append((temperature, rows[row]))
    return {key: sorted(cells, key=lambda pair: pair[0]) for key, cells in found.items()}


def draw_grid(figure: Any, rows: Mapping[Row, Cell]) -> None:
    """Quality against diversity, coloured by temperature; and other scores by temperature."""
    plane, *sides = figure.subplot_mosaic("AAB;AAC;AAD").values()
    grid, axis_of = grid_of(rows), dict(zip(BY_TEMPERATURE, sides, strict=True))
    heats = [temperature for found in grid.values() for temperature, _ in found]
    colors = {"vmin": min(heats), "vmax": max(heats), "cmap": "viridis"}
    for (model, top_p), marker, grey in zip(grid, cycle("osD^v"), cycle(GREYS)):
        temperatures = [temperature for temperature, _ in grid[model, top_p]]
        scores = {m: [value(cell, m) for _, cell in grid[model, top_p]] for m in LABELS}
        style = {"color": grey, "marker": marker, "label": f"{model}, top-p {top_p:g}"}
        plane.plot(scores[QUALITY], scores[DIVERSITY], zorder=1, **style)
        points = plane.scatter(
            *(scores[QUALITY], scores[DIVERSITY], 60, temperatures, marker), zorder=2, **colors
        )
        for metric, axes in axis_of.items():
            axes.plot(temperatures, scores[metric], **style)
    free = [row for row in rows if row.model_free]
    for row, marker, dashes in zip(free, cycle("*X"), cycle(("--", ":"))):
        line = {**LINE, "linestyle": dashes}
        places = value(rows[row], QUALITY), value(rows[row], DIVERSITY)
        plane.plot(*places, marker=marker, markersize=14, label=row.model, **line)
        for metric, axes in axis_of.items():
            axes.axhline(value(rows[row], metric), **line)
    plane.set(xlabel=LABELS[QUALITY], ylabel=LABELS[DIVERSITY])
    plane.legend()
    figure.colorbar(points, ax=plane, location="bottom", label="temperature", aspect=40)
    for metric, axes in axis_of.items():
        axes.set_title(LABELS[metric], fontsize="medium")
    sides[-1].set_xlabel("temperature")

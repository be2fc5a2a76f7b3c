"""Figures of generated sequences: what the papers compare, and quality against diversity."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.files import replacing
from benchmark.report.cells import Cell, Cells, Row
from benchmark.report.generation.tables import names_of, score, sets, settings_of

BANDS = {
    "no hit": "without_hit",
    "below 50 %": "identity_below_50",
    "50–90 %": "identity_50_90",
    "from 90 %": "identity_from_90",
}
"""Identity band -> metric."""
CONTENT = ("helix", "strand", "coil", "low_complexity", "repeats_3")
DPI = 150
NATURAL = "natural"
LINE = {"color": "black", "linestyle": "--", "linewidth": 1}


def write_figures(cells: Cells, results: Path) -> list[Path]:
    """Write `generation*.png`: the panels of each table, and a grid of settings if it has one."""
    from matplotlib.figure import Figure

    written = []
    for number, (title, rows) in enumerate(sets(cells), 1):
        end = "" if number == 1 else f"_{number}"
        drawn = [(draw_panels, f"generation{end}.png")]
        if len(grid_of(rows)) > 0:
            drawn.append((draw_grid, f"generation_grid{end}.png"))
        for draw, name in drawn:
            figure = Figure(figsize=(11, 8), layout="constrained")
            draw(figure, rows)
            figure.suptitle(title)
            with replacing(results / name) as file:
                figure.savefig(file, format="png", dpi=DPI)
            written.append(results / name)
    return written


def draw_panels(figure: Any, rows: Mapping[Row, Cell]) -> None:
    """Perplexity, novelty, diversity and content of each row; natural proteins as dashed lines."""
    named = names_of(rows)
    order = sorted(rows, key=lambda row: (score(rows[row], "judge_perplexity") or 0, named[row]))
    (perplexity, novelty), (diversity, content) = figure.subplots(2, 2)
    places = range(len(order))
    natural = next((rows[row] for row in rows if row.model == NATURAL), None)
    for axes, metric, label in (
        (perplexity, "judge_perplexity", "perplexity under the judge"),
        (diversity, "clusters_per_100", "clusters at 50 % per 100 sequences"),
    ):
        axes.bar(places, [score(rows[row], metric) or 0 for row in order], color="tab:blue")
        axes.set_title(label)
        if natural and (value := score(natural, metric)) is not None:
            axes.axhline(value, label="natural", **LINE)
            axes.legend()
    for place, row in enumerate(order):
        found = rows[row].estimate
        if found.interval:
            perplexity.vlines(place, *found.interval, color="black")
    total = [0.0] * len(order)
    for name, metric in BANDS.items():
        shares = [score(rows[row], metric) or 0 for row in order]
        novelty.bar(places, shares, bottom=total, label=name)
        total = [a + b for a, b in zip(total, shares, strict=True)]
    novelty.set_title("share by identity to the nearest natural protein")
    novelty.legend()
    width = 0.8 / len(CONTENT)
    for at, metric in enumerate(CONTENT):
        shares = [score(rows[row], metric) or 0 for row in order]
        bars = content.bar([p + (at - 2) * width for p in places], shares, width)
        bars.set_label(metric.replace("_", " "))
        if natural and (value := score(natural, metric)) is not None:
            content.axhline(value, **{**LINE, "color": bars[0].get_facecolor()})
    content.set_title("predicted structure, low complexity and repeats")
    content.legend(ncols=2)
    for axes in (perplexity, novelty, diversity, content):
        axes.set_xticks(list(places), [named[row] for row in order], rotation=30, ha="right")


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
    """Quality (perplexity under the judge) against diversity and similarity to natural proteins."""
    sides: Sequence[tuple[Any, str, str]] = [
        (figure.add_subplot(1, 2, 1), "clusters_per_100", "clusters at 50 % per 100 sequences"),
        (figure.add_subplot(1, 2, 2), "mmd", "squared MMD to natural proteins"),
    ]
    for axes, metric, label in sides:
        for (model, top_p), found in grid_of(rows).items():
            x = [score(cell, "judge_perplexity") for _, cell in found]
            y = [score(cell, metric) for _, cell in found]
            axes.plot(x, y, marker="o", label=f"{model}, top-p {top_p:g}")
            for (temperature, _), *place in zip(found, x, y, strict=True):
                axes.annotate(f"T {temperature:g}", place, (4, 4), textcoords="offset points")
        for row in (row for row in rows if row.model_free):
            cell = rows[row]
            star = score(cell, "judge_perplexity"), score(cell, metric)
            axes.plot(*star, marker="*", markersize=14, linestyle="", label=row.model)
        axes.set_xlabel("perplexity under the judge")
        axes.set_ylabel(label)
        axes.legend()

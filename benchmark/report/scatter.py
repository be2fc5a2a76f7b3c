"""Two models example by example: scatter plots, and a table of what differs most."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.core import UserError
from benchmark.data.homology import BANDS
from benchmark.files import replacing
from benchmark.report.comparison import Comparison, read_runs
from benchmark.report.examples import Aligned, aligned
from benchmark.report.selection import Selected
from benchmark.report.table import Column, Table, Value

MOST = 5
"""Examples that are listed of each direction."""


def scatter(sides: Sequence[Selected], found: Comparison, folder: Path) -> Table:
    """Write a PNG for each task, one model against the other; list what differs most."""
    if len(sides) > 2:
        raise UserError("figures= draws one model against another; give two models")
    rows = list[list[Value]]()
    for line in found.lines:
        runs = read_runs(sides, line.column)
        if not line.ranks or not (pair := aligned(runs[0][0], runs[1][0], line.test, line.metric)):
            continue
        name = re.sub(r"[^\w.-]+", "_", f"{line.column.task}_{'_'.join(found.models)}")
        draw(pair, f"{line.column.task}: {pair.what}", found.models, folder / f"{name}.png")
        order = np.argsort(pair.a - pair.b, kind="stable")
        for at in dict.fromkeys([*order[::-1][:MOST].tolist(), *order[:MOST].tolist()]):
            a, b = float(pair.a[at]), float(pair.b[at])
            rows.append([line.column.task, pair.ids[at], pair.what, a, b, a - b])
    columns = [Column("task"), Column("id"), Column("value of")]
    columns += [Column(name, "number") for name in (*found.models, "difference")]
    return Table(f"Examples that differ most; figures in {folder}", columns, rows, names=2)


def draw(pair: Aligned, title: str, models: Sequence[str], path: Path) -> None:
    """Write one scatter plot, coloured by identity band where bands are known."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=models[1], ylabel=models[0])
    for band in [band for band in ("", *BANDS) if band in pair.bands]:
        here = np.array(pair.bands) == band
        axes.scatter(pair.b[here], pair.a[here], s=12, alpha=0.6, label=band or None)
    axes.axline((float(pair.b.mean()),) * 2, slope=1, color="grey", linewidth=0.8)
    if any(pair.bands):
        axes.legend(title="identity to train", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=150)

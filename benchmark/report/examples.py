"""Two runs on the same test set, example by example: flips, values, scatter plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmark.core import Array
from benchmark.data.homology import BANDS
from benchmark.files import replacing
from benchmark.metrics.answers import labelled
from benchmark.metrics.classification import decide
from benchmark.report.resampled import StoredRun


class Values(NamedTuple):
    """A value of each of n examples for two models, where both have one."""

    what: str
    rows: Array
    """Of the tables of predictions, (n,)."""
    a: Array
    b: Array


class Flips(NamedTuple):
    """Answers whose predicted class differs between two models."""

    share: float
    units: int
    """Resampling units with such an answer."""


def flipped(runs: Sequence[StoredRun], test: str) -> Flips | None:
    """How many answers flip; None: they are not of classes, or not stored."""
    rows, decided = runs[0].rows(test), []
    for columns in (run.table.columns for run in runs):
        if not {"prediction", "label"} <= set(columns):
            return None
        examples = labelled(*(columns["label"][row] for row in rows))
        if np.asarray(examples[0].label).dtype.kind == "f":
            return None
        decided.append(decide([columns["prediction"][row] for row in rows], examples))
    differs = decided[0].prediction != decided[1].prediction
    groups = runs[0].table.columns["group"]
    units = {groups[rows[example]] for example in set(decided[0].example[differs].tolist())}
    return Flips(float(np.mean(differs)), len(units))


def values(runs: Sequence[StoredRun], test: str, metric: str) -> Values | None:
    """The metric's value of each example, or else its absolute error or its label's probability.

    None: what is stored gives none of these.
    """
    rows, found, what = runs[0].rows(test), list[Array](), metric
    for table in (run.table for run in runs):
        if metric in table.metrics:
            found.append(table.values(metric)[0][rows])
            continue
        answers = [table.columns.get(name, ["", ""]) for name in ("prediction", "label")]
        if isinstance(answers[0][0], str) or np.ndim(answers[1][0]):
            return None
        prediction, label = (np.array([answer[row] for row in rows]) for answer in answers)
        if label.dtype.kind == "f":
            found.append(np.abs(prediction - label))
        else:
            classes = (
                prediction if prediction.ndim > 1 else np.stack([1 - prediction, prediction], 1)
            )
            found.append(classes[np.arange(len(rows)), label])
        what = "absolute error" if label.dtype.kind == "f" else "probability of the label"
    both = np.isfinite(found).all(axis=0)
    return Values(what, rows[both], found[0][both], found[1][both])


def scatter(
    pair: Values, bands: Sequence[str], models: Sequence[str], task: str, path: Path
) -> None:
    """Write a PNG of one model's values against the other's, coloured by identity band.

    Values that are all 0 or 1 are counted.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    title = f"{task}\n{pair.what}, n = {len(pair.a):,}"
    axes = figure.add_subplot(title=title, xlabel=models[1], ylabel=models[0])
    if np.isin([pair.a, pair.b], (0, 1)).all():
        counts = np.histogram2d(pair.a, pair.b, bins=2, range=[(-0.5, 1.5)] * 2)[0]
        axes.imshow(counts, cmap="Blues", vmin=0, vmax=2 * counts.max(), origin="lower")
        axes.set(xticks=(0, 1), yticks=(0, 1))
        for (y, x), count in np.ndenumerate(counts):
            axes.text(x, y, f"{count:,.0f}", ha="center", va="center", fontsize="x-large")
        bands = ()
    for band in [band for band in ("", *BANDS) if band in bands]:
        here = np.array(bands) == band
        axes.scatter(pair.b[here], pair.a[here], s=12, alpha=0.6, label=band or "all")
    if bands:
        axes.axline((float(pair.b.mean()),) * 2, slope=1, color="grey", linewidth=0.8)
        axes.legend(title="identity to train", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=150)

"""Two models' stored answers side by side: what changed, example by example."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.core import Array
from benchmark.metrics import find
from benchmark.metrics.answers import labelled
from benchmark.metrics.classification import decide
from benchmark.report.resampled import StoredRun


class Aligned(NamedTuple):
    """A value per scored example of a test set for each of two models."""

    ids: list[str]
    bands: list[str]
    """Identity bands; empty strings without an audit."""
    a: Array
    b: Array
    what: str
    """What the values are."""


def paired_rows(a: StoredRun, b: StoredRun, test: str) -> tuple[list[int], list[int]]:
    """Rows of the same scored examples in both tables."""
    place = {b.table.columns["id"][row]: row for row in b.rows(test).tolist()}
    rows = [row for row in a.rows(test).tolist() if a.table.columns["id"][row] in place]
    return rows, [place[a.table.columns["id"][row]] for row in rows]


def flipped(a: StoredRun, b: StoredRun, test: str) -> float | None:
    """Share of answers whose predicted class differs; None: not of classes, or not stored."""
    decided = []
    for run, rows in zip((a, b), paired_rows(a, b, test), strict=True):
        columns = run.table.columns
        if not {"prediction", "label"} <= set(columns):
            return None
        examples = labelled(*(columns["label"][row] for row in rows))
        if np.asarray(examples[0].label).dtype.kind == "f":
            return None
        decided.append(decide([columns["prediction"][row] for row in rows], examples).prediction)
    return float(np.mean(decided[0] != decided[1]))


def values(run: StoredRun, rows: Sequence[int], metric: str) -> tuple[Array, str] | None:
    """A value for each of these rows, and what it is; None: nothing is stored that gives one.

    The metric's own value, or else the absolute error, or the probability of the label.
    """
    columns = run.table.columns
    if metric in run.table.metrics:
        return run.table.values(metric)[0][rows], metric
    if not {"prediction", "label"} <= set(columns) or np.ndim(columns["label"][0]):
        return None
    label = np.array([columns["label"][row] for row in rows])
    prediction = np.array([columns["prediction"][row] for row in rows], np.float64)
    if label.dtype.kind == "f":
        return np.abs(prediction - label), "absolute error"
    if prediction.ndim == 1:
        return np.where(label == 1, prediction, 1 - prediction), "probability of the label"
    return prediction[np.arange(len(label)), label], "probability of the label"


def aligned(a: StoredRun, b: StoredRun, test: str, metric: str) -> Aligned | None:
    """Both models' values of the examples for which both have one."""
    rows = paired_rows(a, b, test)
    found = [values(run, mine, metric) for run, mine in zip((a, b), rows, strict=True)]
    if found[0] is None or found[1] is None:
        return None
    (x, what), (y, _) = found[0], found[1]
    both = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    ids = [str(a.table.columns["id"][rows[0][at]]) for at in both]
    run, mine = (a, rows[0]) if "band" in a.table.columns else (b, rows[1])
    bands = run.table.columns.get("band") or [""] * len(run.table.columns["id"])
    return Aligned(ids, [str(bands[mine[at]]) for at in both], x[both], y[both], what)


def rank_correlation(pair: Aligned) -> float:
    """Spearman's correlation of the two models' values; NaN: undefined."""
    return float(find("spearman").scores(list(pair.a), labelled(*pair.b))[0])

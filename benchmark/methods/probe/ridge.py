"""Ridge regression for several penalties from one eigendecomposition."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmark.methods.probe.design_matrix import DesignMatrix
from benchmark.methods.probe.model import Model
from benchmark.methods.probe.tables import NUMBERS, like, namespace, to_float64, to_numpy


def ridge(rows: DesignMatrix, penalties: Sequence[float]) -> Iterator[tuple[float, Model]]:
    """Ridge regression for each penalty, in float64, where the features are.

    Equals `sklearn.linear_model.Ridge`, which decomposes the matrix for each penalty. With fewer
    rows than features the dual problem is solved.
    """
    features = rows.features
    xp, count = namespace(features), len(rows.labels)
    centre = float(rows.labels.mean())
    targets = like(rows.labels - centre, features, "float64")
    mean = rows.mean()
    dual = count < features.shape[1]
    gram = _outer(features, mean) if dual else _inner(rows, mean)
    spectrum, basis = xp.linalg.eigh(gram)
    moment = targets if dual else _transposed(rows, mean, targets)
    rotated, spectrum = basis.T @ moment, spectrum.clip(0)
    for penalty in penalties:
        solution = basis @ (rotated / (spectrum + penalty))
        weights = to_numpy(_transposed(rows, mean, solution) if dual else solution)
        bias = np.array([centre - to_numpy(mean) @ weights])
        yield penalty, Model(weights[:, None], bias, lambda scores: scores[:, 0])


def _inner(rows: DesignMatrix, mean: Any) -> Any:
    """Products of the centred features, (f, f)."""
    total: Any = 0
    for part in rows.chunks():
        block = to_float64(rows.features[part])
        total = total + block.T @ block
    return total - len(rows.labels) * mean[:, None] * mean


def _outer(features: Any, mean: Any) -> Any:
    """Products of the centred rows, (n, n)."""
    step = max(1, NUMBERS // len(features))
    total: Any = 0
    for start in range(0, features.shape[1], step):
        part = slice(start, start + step)
        block = to_float64(features[:, part]) - mean[part]
        total = total + block @ block.T
    return total


def _transposed(rows: DesignMatrix, mean: Any, values: Any) -> Any:
    """The transposed, centred features times a vector (n,), (f,)."""
    parts = (to_float64(rows.features[part]).T @ values[part] for part in rows.chunks())
    return sum(parts) - mean * values.sum()

"""A fitted linear model, and its loss on a design matrix."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core.answers import Readout, known_answers
from benchmark.methods.probe.design_matrix import DesignMatrix
from benchmark.methods.probe.tables import like, to_float64, to_numpy

Float64 = NDArray[np.float64]


class Model(NamedTuple):
    """Scores (n, columns) are features @ weights + bias; `link` maps scores to predictions."""

    weights: Float64
    bias: Float64
    link: Callable[[Float64], Float64]
    converged: bool = True

    def __call__(self, features: Any) -> Float64:
        """Predictions for rows of features (n, f), an array or a tensor: (n,) or (n, size)."""
        scores = to_float64(features) @ like(self.weights, features, "float64")
        return self.link(to_numpy(scores) + self.bias)


def mean_loss(model: Model, rows: DesignMatrix, readout: Readout) -> float:
    """Mean squared error (regression) or mean log loss, over known labels."""
    total = count = 0.0
    for part in rows.chunks():
        guess, truth = model(rows.features[part]), rows.labels[part]
        weight = np.broadcast_to(
            rows.weights[part].reshape(-1, *[1] * (truth.ndim - 1)), truth.shape
        )
        if readout.kind == "regression":
            loss = (guess - truth) ** 2
        else:
            if readout.kind == "multilabel" or readout.size == 2:
                right = np.where(truth == 1, guess, 1 - guess)
            else:
                right = np.take_along_axis(guess, truth[:, None], axis=1)[:, 0]
            loss = -np.log(np.clip(right, 1e-15, 1))
        known = np.broadcast_to(known_answers(truth, readout), truth.shape)
        total += float((loss * weight)[known].sum())
        count += float(weight[known].sum())
    return total / count

"""Logistic regression for several penalties, with warm starts."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Readout, UserError
from benchmark.methods.probe.design_matrix import DesignMatrix
from benchmark.methods.probe.model import Float64, Model
from benchmark.methods.probe.tables import to_float64, to_numpy

SMALL = 50_000_000
"""Design matrices with fewer numbers are fitted with one thread."""

PRECISE = 1_000_000
"""Those with fewer are fitted in float64, where it costs little. In float32 rounding stops L-BFGS
at another point on each machine, where predictions differ by up to 5e-4."""


class Solution(NamedTuple):
    """Classes of train, weights (f, columns) and bias (columns,)."""

    classes: Array
    weights: Float64
    bias: Float64
    converged: bool = True


def logistic(
    rows: DesignMatrix,
    readout: Readout,
    penalties: Sequence[float],
    max_iter: int,
    tolerance: float,
) -> Iterator[tuple[float, Model]]:
    """Logistic regression for each penalty: multinomial, binary, or one per label."""
    from scipy.special import expit, softmax

    targets = rows.labels.T if readout.kind == "multilabel" else [rows.labels]
    paths = [_solutions(rows, target, penalties, max_iter, tolerance) for target in targets]
    binary = readout.kind == "multilabel" or readout.size == 2
    link: Callable[[Float64], Float64] = expit if binary else partial(softmax, axis=1)
    if readout.kind != "multilabel" and binary:
        link = class_1
    if readout.kind == "classification" and len(np.unique(rows.labels)) < 2:
        raise UserError("every training example has the same class; a probe needs at least two")
    for penalty in penalties:
        found = [next(path) for path in paths]
        if not binary:
            found = [_all_classes(solution, readout.size) for solution in found]
        weights = np.hstack([solution.weights for solution in found])
        bias = np.concatenate([solution.bias for solution in found])
        yield penalty, Model(weights, bias, link, all(solution.converged for solution in found))


def class_1(log_odds: Float64) -> Float64:
    """Probability of class 1, (n,), from its log odds, (n, 1)."""
    from scipy.special import expit

    return np.asarray(expit(log_odds[:, 0]))


def _all_classes(solution: Solution, size: int) -> Solution:
    """With a column for each class; one that is absent from train has probability 0."""
    classes, weights, bias, converged = solution
    if weights.shape[1] < len(classes):  # of two classes, the log odds of the second
        weights = np.hstack([np.zeros_like(weights), weights])
        bias = np.concatenate([[0.0], bias])
    full, offset = np.zeros((len(weights), size)), np.full(size, -np.inf)
    full[:, classes], offset[classes] = weights, bias
    return Solution(np.arange(size), full, offset, converged)


def _solutions(
    rows: DesignMatrix, target: Array, penalties: Sequence[float], max_iter: int, tolerance: float
) -> Iterator[Solution]:
    """The solution for each penalty, found where the features are."""
    import sklearn
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    known = target != -1
    features = rows.features if known.all() else rows.features[known]
    if np.prod(features.shape) < PRECISE:
        features = to_float64(features)
    target, weight = target[known], rows.weights[known]
    classes = np.unique(target)
    if len(classes) < 2:  # a label that is constant in train: its smoothed rate
        rate = (target.sum() + 1) / (len(target) + 2)
        bias = np.array([np.log(rate / (1 - rate))])
        for _ in penalties:
            yield Solution(classes, np.zeros((rows.features.shape[1], 1)), bias)
        return
    # On a small problem many threads gain little, and lose minutes where cores are shared.
    threads = 1 if np.prod(features.shape) < SMALL else None
    solver = LogisticRegression(warm_start=True, max_iter=max_iter, tol=tolerance)
    for penalty in penalties:
        with (
            threadpool_limits(threads),
            sklearn.config_context(array_api_dispatch=not isinstance(features, np.ndarray)),
            warnings.catch_warnings(record=True) as raised,
        ):
            warnings.simplefilter("always")
            solver.set_params(C=1 / penalty).fit(features, target, sample_weight=weight)
        yield Solution(
            classes,
            to_numpy(solver.coef_).T.astype(np.float64),
            to_numpy(solver.intercept_).astype(np.float64),
            not any(issubclass(one.category, ConvergenceWarning) for one in raised),
        )

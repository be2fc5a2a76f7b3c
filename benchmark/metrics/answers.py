"""Ragged examples as flat arrays of answers, and the small sums that every metric needs.

An example holds one answer (label of shape ()), or one per residue or label (label of shape (L,)).
Examples are what is resampled; answers are what is scored. n examples, N answers, R resamples.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Value

BLOCK = 2**17
"""Elements of a temporary array of shape (resamples, answers): what a core's cache holds."""


class Answers(NamedTuple):
    """The answers of a test set, one after the other."""

    prediction: Array
    """Shape (N,), or (N, K) where a prediction has K probabilities."""
    label: Array
    """Shape (N,)."""
    example: Array
    """Shape (N,): the example that each answer belongs to."""
    weights: Array
    """Shape (R, n): how often each example occurs in each resample."""

    def take(self, index: Array) -> "Answers":
        """Give the answers at `index`, or where it is true."""
        return Answers(self.prediction[index], self.label[index], self.example[index], self.weights)

    def known(self, *, real: bool = False) -> "Answers":
        """Drop unknown answers: NaN where labels are `real`, else -1; refuse the other kind."""
        counted = self.label.dtype.kind in "iub"
        if counted is real and len(self.label):
            kind, wants = ("classes", "real numbers") if real else ("real numbers", "classes")
            raise ValueError(f"labels are {kind}; this metric is for {wants}")
        answers = self.take(~np.isnan(self.label) if real else self.label != -1)
        broken = np.isnan(answers.prediction)
        if broken.any():
            example = answers.example[broken.reshape(len(broken), -1).any(1)][0]
            raise ValueError(f"prediction of example {example} is NaN")
        return answers

    def per_example(self, values: Array) -> Array:
        """Sum one value per answer, (N,), over each example: (n,)."""
        return np.bincount(self.example, values, minlength=self.weights.shape[1])

    def score(self, fn: Callable[[Array], Array]) -> Array:
        """Score the resamples, a few at a time: `fn` maps weights of answers (r, N) to (r,)."""
        rows = max(1, BLOCK // max(1, len(self.example)))
        scores = np.full(len(self.weights), np.nan)
        for start in range(0, len(scores), rows):
            block = self.weights[start : start + rows].astype(np.float64)
            scores[start : start + rows] = fn(block.take(self.example, axis=1))
        return scores


def flatten(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Answers:
    """Line up all answers, known or not; `predictions` may have a last axis that labels lack."""
    n = len(labels)
    if len(predictions) != n or weights.ndim != 2 or weights.shape[1] != n:
        raise ValueError(
            f"{len(predictions)} predictions and weights of shape {weights.shape} for {n} labels"
        )
    if n == 0:
        empty = np.empty(0)
        return Answers(empty, empty, np.empty(0, dtype=np.intp), weights)
    ys = [np.asarray(label) for label in labels]
    ps = [np.asarray(prediction) for prediction in predictions]
    extra = ps[0].ndim - ys[0].ndim
    for i, (p, y) in enumerate(zip(ps, ys, strict=True)):
        if p.shape[: y.ndim] != y.shape or p.ndim - y.ndim != extra or extra not in (0, 1):
            raise ValueError(f"example {i}: a prediction of shape {p.shape} for {y.shape}")
    tail = ps[0].shape[ys[0].ndim :]
    return Answers(
        np.concatenate([p.reshape(-1, *tail) for p in ps]),
        np.concatenate([y.reshape(-1) for y in ys]),
        np.repeat(np.arange(n), [y.size for y in ys]),
        weights,
    )


def one_number(answers: Answers) -> Answers:
    """Refuse predictions with a last axis."""
    if answers.prediction.ndim > 1:
        k = answers.prediction.shape[1]
        raise ValueError(f"predictions have a last axis of {k}; this metric needs one number each")
    return answers


def cumulate(weights: Array) -> Array:
    """Sums of the first 0, 1, ... N columns: (r, N + 1)."""
    sums = np.zeros((weights.shape[0], weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def ratio(numerator: Array, denominator: Array) -> Array:
    """Divide; NaN where the denominator is 0."""
    quotient = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def mean_of_defined(values: Array) -> Array:
    """Average over the last axis what is not NaN; NaN where nothing is left."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def mean_over_examples(values: Array, weights: Array) -> Array:
    """Average one value per example, (n,), in each resample: (R,). NaN examples are left out."""
    known = ~np.isnan(values)
    return ratio(weights @ np.where(known, values, 0.0), weights @ known.astype(np.int64))

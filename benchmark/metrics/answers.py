"""Examples of unequal lengths as flat arrays of answers, and sums that several metrics need.

An example has one answer (label of shape ()), or one per residue or label (label of shape (L,)).
Examples are resampled; answers are scored. n examples, N answers, R resamples.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Example, Examples, Predictions, Value
from benchmark.core.metric import ratio

BLOCK = 2**17
"""Elements of a temporary array of shape (resamples, answers): they fit a core's cache."""


class Answers(NamedTuple):
    """The answers of a test set, one after the other."""

    prediction: Array
    """Shape (N,), or (N, K) where a prediction has K probabilities."""
    label: Array
    """Shape (N,)."""
    example: Array
    """Shape (N,): the example that each answer belongs to."""
    n: int
    """Number of examples."""

    def take(self, index: Array) -> "Answers":
        """Return the answers at `index`, or where it is true."""
        return Answers(self.prediction[index], self.label[index], self.example[index], self.n)

    def known(self, *, real: bool = False) -> "Answers":
        """Drop unknown answers, of numbers if `real`, else of classes; refuse the other kind."""
        if (self.label.dtype.kind in "iub") is real and len(self.label):
            kind, wants = ("classes", "real numbers") if real else ("real numbers", "classes")
            raise ValueError(f"labels are {kind}; this metric is for {wants}")
        answers = self.take(~np.isnan(self.label) if real else self.label != -1)
        return answers.refuse(np.isnan(answers.prediction), "NaN")

    def refuse(self, wrong: Array, what: str) -> "Answers":
        """Refuse predictions that are `wrong`, in their shape."""
        if wrong.any():
            example = self.example[np.nonzero(wrong)[0][0]]
            raise ValueError(f"prediction of example {example} is {what}")
        return self

    def means(self, values: Array) -> tuple[Array, Array]:
        """Mean over each example of one value per answer, (n,), NaN without any; and counts, (n,).

        They are the values and sizes of an example metric that averages over all answers.
        """
        counts = np.bincount(self.example, minlength=self.n)
        return ratio(np.bincount(self.example, values, minlength=self.n), counts), counts

    def score(self, fn: Callable[[Array], Array], weights: Array) -> Array:
        """Score resamples, weights (R, n), in blocks: `fn` maps answer weights (r, N) to (r,)."""
        scores = np.full(len(weights), np.nan)
        if not len(self.example):
            return scores
        rows = max(1, BLOCK // len(self.example))
        for start in range(0, len(scores), rows):
            block = weights[start : start + rows].astype(np.float64)
            scores[start : start + rows] = fn(block.take(self.example, axis=1))
        return scores


def flatten(predictions: Predictions, examples: Examples) -> Answers:
    """Concatenate all answers, known or not; predictions may have a last axis that labels lack."""
    ys = [np.asarray(example.label) for example in examples]
    ps = [np.asarray(prediction) for prediction in predictions]
    extra = ps[0].ndim - ys[0].ndim
    for i, (p, y) in enumerate(zip(ps, ys, strict=True)):
        if p.shape[: y.ndim] != y.shape or p.ndim - y.ndim != extra or extra not in (0, 1):
            raise ValueError(f"example {i}: a prediction of shape {p.shape} for {y.shape}")
    tail = ps[0].shape[ys[0].ndim :]
    return Answers(
        np.concatenate([p.reshape(-1, *tail) for p in ps]),
        np.concatenate([y.reshape(-1) for y in ys]),
        np.repeat(np.arange(len(ys)), [y.size for y in ys]),
        len(ys),
    )


def classes(examples: Examples) -> tuple[Array, Array]:
    """The class of each known answer, (N,), and its example, (N,)."""
    labels = [np.asarray(example.label).reshape(-1) for example in examples]
    label = np.concatenate(labels)
    example = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
    return label[label != -1], example[label != -1]


def classes_of_labels(examples: Examples) -> tuple[Array, Array]:
    """As `classes`, of K labels with two classes each: those of label k are 2 k and 2 k + 1.

    Labels with one class alone are left out, as in the mean over labels.
    """
    labels = [np.asarray(example.label) for example in examples]
    numbered = [np.where(y == -1, -1, 2 * np.arange(y.shape[-1]) + y) for y in labels]
    found, example = classes(labelled(*numbered))
    both = np.isin(found, np.intersect1d(found, found ^ 1))
    return found[both], example[both]


def labelled(*labels: Value | float) -> list[Example]:
    """Examples with these labels and nothing else, to score predictions outside a run."""
    return [Example((), np.asarray(label), str(i), str(i)) for i, label in enumerate(labels)]


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


def mean_of_defined(values: Array) -> Array:
    """Average over the last axis of what is not NaN; NaN if everything is."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1))

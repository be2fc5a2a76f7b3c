"""Scores of classes: accuracy, balanced accuracy, F1, Matthews correlation.

Each answer counts once, also where an example has one per residue. The predicted class is the most
probable one (the first of several); a binary prediction is the probability p of class 1, and the
class is 1 where p > 0.5, so p = 0.5 is class 0, too. Definitions as in scikit-learn with
zero_division=0, but a score that is 0 / 0 there (`mcc` of one class, any of no answers) is NaN.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from benchmark.core import Array, Examples, Predictions, Scorer, corpus_metric, example_metric
from benchmark.core.metric import ratio
from benchmark.metrics.answers import Answers, classes, flatten, mean_of_defined

FEWEST = 30
"""Resampling units that each class needs for the interval of a mean over classes: with fewer,
all answers are right too often, and the score seems certain."""


class Counts(NamedTuple):
    """Answers per resample and class, each of shape (R, K)."""

    right: Array
    predicted: Array
    labelled: Array


def decide(predictions: Predictions, examples: Examples) -> Answers:
    """Known answers; `prediction` is the predicted class."""
    answers = flatten(predictions, examples).known()
    p, label = answers.prediction, answers.label.astype(np.intp)
    size = p.shape[1] if p.ndim > 1 else 2
    if label.max(initial=0) >= size:
        raise ValueError(f"label {label.max()} for predictions of {size} classes")
    decided = p.argmax(axis=1) if p.ndim > 1 else (p > 0.5).astype(np.intp)
    return answers._replace(prediction=decided, label=label)


def of_counts(
    predictions: Predictions, examples: Examples, score: Callable[[Counts], Array]
) -> Scorer:
    """The function from weights (R, n) to scores (R,); no array has the shape (R, answers)."""
    from scipy.sparse import coo_array

    _, label, example, n = answers = decide(predictions, examples)
    size = 1 + max(label.max(initial=0), answers.prediction.max(initial=0))

    def per_class(classes: Array, counted: Array) -> Any:
        # sparse: a protein has one class of 1,195, say
        return coo_array((counted.astype(np.int64), (example, classes)), shape=(n, size)).tocsr()

    every = np.ones(len(label))
    right = per_class(label, answers.prediction == label)
    tables = right, per_class(answers.prediction, every), per_class(label, every)
    return lambda weights: score(Counts(*(np.asarray(weights @ table) for table in tables)))


def f1_per_class(counts: Counts) -> Array:
    """F1 of each class, (R, K); NaN where a class is neither predicted nor labelled."""
    return ratio(2 * counts.right, counts.predicted + counts.labelled)


@example_metric(higher_is_better=True, version=1, scale="logit")
def accuracy(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Share of answers that are right; an example's size is its number of known answers.

    >>> float(accuracy.scores([0.9, 0.2, 0.7, 0.5], labelled(1, 0, 0, 0))[0])
    0.75
    """
    answers = decide(predictions, examples)
    return answers.means(answers.prediction == answers.label)


@corpus_metric(higher_is_better=True, version=2, scale="logit", classes=classes, fewest=FEWEST)
def balanced_accuracy(predictions: Predictions, examples: Examples) -> Scorer:
    """Mean recall over the classes that are among the labels of a resample.

    >>> float(balanced_accuracy.scores([0.9, 0.2, 0.7, 0.1, 0.1], labelled(1, 0, 0, 0, 0))[0])
    0.875
    """
    return of_counts(predictions, examples, lambda c: mean_of_defined(ratio(c.right, c.labelled)))


@corpus_metric(higher_is_better=True, version=2, scale="logit", classes=classes, fewest=FEWEST)
def f1_macro(predictions: Predictions, examples: Examples) -> Scorer:
    """Mean F1 over the classes that are labelled or predicted in a resample.

    >>> float(f1_macro.scores([0.9, 0.8, 0.7, 0.1], labelled(1, 1, 1, 0))[0])
    1.0
    """
    return of_counts(predictions, examples, lambda counts: mean_of_defined(f1_per_class(counts)))


@corpus_metric(higher_is_better=True, version=1, scale="logit")
def f1_weighted(predictions: Predictions, examples: Examples) -> Scorer:
    """Mean F1 over the classes of a resample, each weighted by its number of labels.

    >>> float(f1_weighted.scores([0.9, 0.2, 0.2, 0.7], labelled(1, 1, 0, 0))[0])
    0.5
    """

    def score(counts: Counts) -> Array:
        f1 = np.nan_to_num(f1_per_class(counts), nan=0.0)
        return ratio((f1 * counts.labelled).sum(-1), counts.labelled.sum(-1))

    return of_counts(predictions, examples, score)


@corpus_metric(higher_is_better=True, version=1, scale="fisher")
def mcc(predictions: Predictions, examples: Examples) -> Scorer:
    """Matthews correlation, of two classes or more; NaN if all labels or predictions are one class.

    Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.

    >>> float(mcc.scores([0.9, 0.9, 0.1, 0.1], labelled(0, 0, 1, 1))[0])
    -1.0
    """

    def score(counts: Counts) -> Array:
        right, predicted, labels = (each.astype(np.float64) for each in counts)
        total = labels.sum(-1)
        covariance = right.sum(-1) * total - (labels * predicted).sum(-1)
        variances = [total**2 - (each**2).sum(-1) for each in (labels, predicted)]
        return ratio(covariance, np.sqrt(variances[0] * variances[1]))

    return of_counts(predictions, examples, score)

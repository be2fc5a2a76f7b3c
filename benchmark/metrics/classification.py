"""Scores of classes: accuracy, balanced accuracy, F1, Matthews correlation.

Each answer counts once, also where an example has one per residue. The class is the most probable
one (the first at a tie); a binary prediction is the probability p of class 1, and the class is 1
where p > 0.5, so a tie is class 0 here too. Definitions as in scikit-learn, with zero_division=0;
only where it calls 0 / 0 a score (`mcc` of one class, anything of no answers) there is NaN.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Value, metric
from benchmark.metrics.answers import Answers, flatten, mean_of_defined, ratio


class Counts(NamedTuple):
    """Answers per resample and class, each of shape (R, K)."""

    right: Array
    predicted: Array
    labelled: Array


def decide(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Answers:
    """Known answers; `prediction` is the class decided on."""
    answers = flatten(predictions, labels, weights).known()
    p, label = answers.prediction, answers.label.astype(np.intp)
    size = p.shape[1] if p.ndim > 1 else 2
    if label.max(initial=0) >= size:
        raise ValueError(f"label {label.max()} for predictions of {size} classes")
    decided = p.argmax(axis=1) if p.ndim > 1 else (p > 0.5).astype(np.intp)
    return answers._replace(prediction=decided, label=label)


def count(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Counts:
    """Count by example first, then by resample: nothing has the shape (R, answers)."""
    from scipy.sparse import coo_array

    answers = decide(predictions, labels, weights)
    size = 1 + max(answers.label.max(initial=0), answers.prediction.max(initial=0))
    shape = (weights.shape[1], int(size))

    def per_class(example: Array, classes: Array) -> Array:
        ones = np.ones(len(example), dtype=np.int64)
        # sparse: a protein has one of perhaps 1,195 classes
        table = coo_array((ones, (example, classes)), shape=shape).tocsr()
        return np.asarray(weights @ table)

    right = answers.prediction == answers.label
    return Counts(
        per_class(answers.example[right], answers.label[right]),
        per_class(answers.example, answers.prediction),
        per_class(answers.example, answers.label),
    )


def f1_per_class(counts: Counts) -> Array:
    """F1 of each class, (R, K); NaN where a class is neither predicted nor labelled."""
    return ratio(2 * counts.right, counts.predicted + counts.labelled)


@metric(higher_is_better=True, version=1)
def accuracy(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Share of answers that are right.

    >>> float(accuracy([0.9, 0.2, 0.7, 0.5], [1, 0, 0, 0])[0])
    0.75
    """
    answers = decide(predictions, labels, weights)
    right = answers.per_example(answers.prediction == answers.label)
    return ratio(weights @ right, weights @ answers.per_example(np.ones(len(answers.label))))


@metric(higher_is_better=True, version=1)
def balanced_accuracy(
    predictions: Sequence[Value], labels: Sequence[Value], weights: Array
) -> Array:
    """Mean recall over the classes that are among the labels of a resample.

    >>> float(balanced_accuracy([0.9, 0.2, 0.7, 0.1, 0.1], [1, 0, 0, 0, 0])[0])
    0.875
    """
    counts = count(predictions, labels, weights)
    return mean_of_defined(ratio(counts.right, counts.labelled))


@metric(higher_is_better=True, version=1)
def f1_macro(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Mean F1 over the classes that are labelled or predicted in a resample.

    >>> float(f1_macro([0.9, 0.8, 0.7, 0.1], [1, 1, 1, 0])[0])
    1.0
    """
    return mean_of_defined(f1_per_class(count(predictions, labels, weights)))


@metric(higher_is_better=True, version=1)
def f1_weighted(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Mean F1 over the classes of a resample, each weighted by its number of labels.

    >>> float(f1_weighted([0.9, 0.2, 0.2, 0.7], [1, 1, 0, 0])[0])
    0.5
    """
    counts = count(predictions, labels, weights)
    f1 = np.nan_to_num(f1_per_class(counts), nan=0.0)
    return ratio((f1 * counts.labelled).sum(-1), counts.labelled.sum(-1))


@metric(higher_is_better=True, version=1)
def mcc(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Matthews correlation, of two classes or more; NaN if all labels or predictions are one class.

    Gorodkin 2004, doi:10.1016/j.compbiolchem.2004.09.006.

    >>> float(mcc([0.9, 0.9, 0.1, 0.1], [0, 0, 1, 1])[0])
    -1.0
    """
    counts = count(predictions, labels, weights)
    right, predicted, labelled = (each.astype(np.float64) for each in counts)
    total = labelled.sum(-1)
    both = right.sum(-1) * total - (labelled * predicted).sum(-1)
    of_labels = total**2 - (labelled**2).sum(-1)
    of_predictions = total**2 - (predicted**2).sum(-1)
    return ratio(both, np.sqrt(of_labels * of_predictions))


__test__ = {  # doctest does not look into a Metric by itself
    each.name: each.fn for each in (accuracy, balanced_accuracy, f1_macro, f1_weighted, mcc)
}

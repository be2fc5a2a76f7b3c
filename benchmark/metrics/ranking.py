"""Scores of how well positives are ranked above negatives: areas under ROC and PR curves.

Only the order of the predictions counts, and ties are exact. Labels are 0 and 1. `roc_auc` and
`pr_auc` pool all answers; the `_macro` forms are for multilabel answers: they score each of the K
labels, the last axis, and average those that are defined in a resample.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmark.core import Array, Examples, Predictions, Scorer, corpus_metric
from benchmark.core.metric import ratio
from benchmark.metrics.answers import (
    Answers,
    classes,
    classes_of_labels,
    cumulate,
    flatten,
    mean_of_defined,
    one_number,
)

Area = Callable[[Answers], Scorer]
"""From answers to the function from weights (R, n) to areas (R,)."""


def roc_area(answers: Answers) -> Scorer:
    """Share of pairs (positive, negative) in the right order, a tie counting half."""
    answers, positives, negatives = by_side(answers)
    lower = np.searchsorted(negatives, positives, "left")
    not_higher = np.searchsorted(negatives, positives, "right")

    def score(weights: Array) -> Array:
        positive, cumulative = weights[:, : len(positives)], cumulate(weights[:, len(positives) :])
        beaten = cumulative.take(lower, axis=1)
        beaten += cumulative.take(not_higher, axis=1)
        pairs = positive.sum(1) * cumulative[:, -1]
        return ratio(np.einsum("rn,rn->r", positive, beaten), 2 * pairs)

    return partial(answers.score, score)


def pr_area(answers: Answers) -> Scorer:
    """Precision at each positive's score, averaged over positives.

    Also NaN without negatives, when precision is 1 for any predictions.
    """
    answers, positives, negatives = by_side(answers)
    first = np.searchsorted(positives, positives, "left")
    lower = np.searchsorted(negatives, positives, "left")

    def score(weights: Array) -> Array:
        positive = weights[:, : len(positives)]
        true, false = cumulate(positive), cumulate(weights[:, len(positives) :])
        hits = true[:, -1:] - true.take(first, axis=1)
        chosen = hits + (false[:, -1:] - false.take(lower, axis=1))
        # where nothing is predicted positive, the positive itself has weight 0
        precision = hits / np.maximum(chosen, 1)
        n_true, n_false = true[:, -1], false[:, -1]
        return ratio(np.einsum("rn,rn->r", positive, precision), n_true * (n_false > 0))

    return partial(answers.score, score)


def by_side(answers: Answers) -> tuple[Answers, Array, Array]:
    """Known answers, positives first, then by prediction; and the predictions of either class."""
    answers = one_number(answers).known()
    if (wrong := ~np.isin(answers.label, (0, 1))).any():
        raise ValueError(f"label {answers.label[wrong][0]:g}; this metric needs labels 0 and 1")
    answers = answers.take(np.lexsort((answers.prediction, answers.label != 1)))
    n_positive = int((answers.label == 1).sum())
    return answers, answers.prediction[:n_positive], answers.prediction[n_positive:]


def over_labels(area: Area, predictions: Predictions, examples: Examples) -> Scorer:
    """Average the area of each of K labels, the last axis, over those where it is defined."""
    answers = one_number(flatten(predictions, examples))
    sizes = {np.shape(example.label)[-1:] for example in examples}
    if len(sizes) > 1 or () in sizes:
        raise ValueError("labels need a last axis of one size, or use the metric without _macro")
    columns = np.arange(len(answers.label)).reshape(-1, *sizes.pop())
    areas = [area(answers.take(k)) for k in columns.T]
    return lambda weights: mean_of_defined(np.stack([score(weights) for score in areas], axis=-1))


@corpus_metric(higher_is_better=True, version=2, scale="probit", classes=classes)
def roc_auc(predictions: Predictions, examples: Examples) -> Scorer:
    """Chance that a positive is ranked above a negative, a tie counting half.

    >>> float(roc_auc.scores([0.1, 0.4, 0.4, 0.8], labelled(0, 0, 1, 1))[0])
    0.875
    """
    return roc_area(flatten(predictions, examples))


@corpus_metric(higher_is_better=True, version=2, scale="probit", classes=classes_of_labels)
def roc_auc_macro(predictions: Predictions, examples: Examples) -> Scorer:
    """`roc_auc` of each of K labels, averaged over the labels that have both classes.

    >>> float(roc_auc_macro.scores([[0.1, 0.3], [0.9, 0.6]], labelled([0, 1], [1, 1]))[0])
    1.0
    """
    return over_labels(roc_area, predictions, examples)


@corpus_metric(higher_is_better=True, version=2, scale="logit", classes=classes)
def pr_auc(predictions: Predictions, examples: Examples) -> Scorer:
    """Average precision: the area under the precision-recall curve, as steps.

    >>> float(pr_auc.scores([0.1, 0.6, 0.4, 0.8], labelled(0, 0, 1, 1))[0])
    0.8333333333333333
    """
    return pr_area(flatten(predictions, examples))


@corpus_metric(higher_is_better=True, version=2, scale="logit", classes=classes_of_labels)
def pr_auc_macro(predictions: Predictions, examples: Examples) -> Scorer:
    """`pr_auc` of each of K labels, averaged over the labels that have both classes.

    >>> float(pr_auc_macro.scores([[0.1, 0.3], [0.9, 0.6]], labelled([0, 1], [1, 1]))[0])
    1.0
    """
    return over_labels(pr_area, predictions, examples)

"""Scores of how well positives are ranked above negatives: areas under ROC and PR curves.

Only the order of the predictions counts, and ties are exact. Labels are 0 and 1. `roc_auc` and
`pr_auc` pool all answers; the `_macro` forms are for answers that are any of K labels: they take
the last axis as K labels, score each, and average those that are defined in a resample.
"""

from collections.abc import Callable, Sequence

import numpy as np

from benchmark.core import Array, Value, metric
from benchmark.metrics.answers import Answers, cumulate, flatten, mean_of_defined, one_number, ratio


def roc_area(answers: Answers) -> Array:
    """Share of pairs (positive, negative) in the right order, a tie counting half: (R,)."""
    answers, positives, negatives = by_side(answers)
    lower = np.searchsorted(negatives, positives, "left")
    not_higher = np.searchsorted(negatives, positives, "right")

    def score(weights: Array) -> Array:
        positive, cumulative = weights[:, : len(positives)], cumulate(weights[:, len(positives) :])
        beaten = cumulative.take(lower, axis=1)
        beaten += cumulative.take(not_higher, axis=1)
        pairs = positive.sum(1) * cumulative[:, -1]
        return ratio(np.einsum("rn,rn->r", positive, beaten), 2 * pairs)

    return answers.score(score)


def pr_area(answers: Answers) -> Array:
    """Precision at each positive's score, averaged over positives: (R,).

    It is NaN without negatives too: precision is then 1 whatever was predicted.
    """
    answers, positives, negatives = by_side(answers)
    first = np.searchsorted(positives, positives, "left")
    lower = np.searchsorted(negatives, positives, "left")

    def score(weights: Array) -> Array:
        positive = weights[:, : len(positives)]
        true, false = cumulate(positive), cumulate(weights[:, len(positives) :])
        hits = true[:, -1:] - true.take(first, axis=1)
        chosen = hits + (false[:, -1:] - false.take(lower, axis=1))
        # where nothing is chosen, the positive itself has weight 0
        precision = hits / np.maximum(chosen, 1)
        n_true, n_false = true[:, -1], false[:, -1]
        return ratio(np.einsum("rn,rn->r", positive, precision), n_true * (n_false > 0))

    return answers.score(score)


def by_side(answers: Answers) -> tuple[Answers, Array, Array]:
    """Known answers, positives first, then by prediction; and the predictions of both sides."""
    answers = one_number(answers).known()
    if (wrong := ~np.isin(answers.label, (0, 1))).any():
        raise ValueError(f"label {answers.label[wrong][0]:g}; this metric needs labels 0 and 1")
    answers = answers.take(np.lexsort((answers.prediction, answers.label != 1)))
    n_positive = int((answers.label == 1).sum())
    return answers, answers.prediction[:n_positive], answers.prediction[n_positive:]


def over_labels(
    area: Callable[[Answers], Array],
    predictions: Sequence[Value],
    labels: Sequence[Value],
    weights: Array,
) -> Array:
    """Average the area of each of K labels, the last axis, over the labels that have one."""
    answers = one_number(flatten(predictions, labels, weights))
    sizes = {np.shape(label)[-1:] for label in labels}
    if len(sizes) > 1 or () in sizes:
        raise ValueError("labels need a last axis of one size, or use the metric without _macro")
    columns = np.arange(len(answers.label)).reshape(-1, *(sizes or {(1,)}).pop())
    return mean_of_defined(np.stack([area(answers.take(k)) for k in columns.T], axis=-1))


@metric(higher_is_better=True, version=1)
def roc_auc(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Chance that a positive is ranked above a negative, a tie counting half.

    >>> float(roc_auc([0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1])[0])
    0.875
    """
    return roc_area(flatten(predictions, labels, weights))


@metric(higher_is_better=True, version=1)
def roc_auc_macro(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """`roc_auc` of each of K labels, averaged over the labels that have both sides.

    >>> float(roc_auc_macro([[0.1, 0.3], [0.9, 0.6]], [np.array([0, 1]), np.array([1, 1])])[0])
    1.0
    """
    return over_labels(roc_area, predictions, labels, weights)


@metric(higher_is_better=True, version=1)
def pr_auc(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Average precision: the area under the precision-recall curve, as steps.

    >>> float(pr_auc([0.1, 0.6, 0.4, 0.8], [0, 0, 1, 1])[0])
    0.8333333333333333
    """
    return pr_area(flatten(predictions, labels, weights))


@metric(higher_is_better=True, version=1)
def pr_auc_macro(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """`pr_auc` of each of K labels, averaged over the labels that have both sides.

    >>> float(pr_auc_macro([[0.1, 0.3], [0.9, 0.6]], [np.array([0, 1]), np.array([1, 1])])[0])
    1.0
    """
    return over_labels(pr_area, predictions, labels, weights)


__test__ = {  # doctest does not look into a Metric by itself
    each.name: each.fn for each in (roc_auc, roc_auc_macro, pr_auc, pr_auc_macro)
}

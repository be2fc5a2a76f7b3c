"""Scores of real answers: correlations, explained variance, error.

Each answer counts once. Means and ranks are those of the resample, not of the test set; a
correlation with something constant is NaN.
"""

from collections.abc import Callable, Sequence

import numpy as np

from benchmark.core import Array, Value, metric
from benchmark.metrics.answers import Answers, cumulate, flatten, one_number, ratio


def known_numbers(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Answers:
    """Known answers, as float64."""
    answers = one_number(flatten(predictions, labels, weights)).known(real=True)
    return answers._replace(
        prediction=answers.prediction.astype(np.float64), label=answers.label.astype(np.float64)
    )


def known_finite(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Answers:
    """Known answers, none infinite: where more than their order counts there is no score."""
    answers = known_numbers(predictions, labels, weights)
    infinite = ~np.isfinite(answers.prediction)
    if infinite.any():
        raise ValueError(f"prediction of example {answers.example[infinite][0]} is infinite")
    return answers


def ranker(values: Array) -> Callable[[Array], Array]:
    """Make the function from weights (r, N) to ranks (r, N), centred and doubled to be integers.

    A value that occurs w times after c lower ones has the average rank c + (w + 1) / 2. The sort is
    done here, once for all resamples.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    lower = np.searchsorted(ordered, values, "left")
    not_higher = np.searchsorted(ordered, values, "right")

    def rank(weights: Array) -> Array:
        cumulative = cumulate(weights.take(order, axis=1))
        ranks = cumulative.take(lower, axis=1)
        ranks += cumulative.take(not_higher, axis=1)
        ranks -= cumulative[:, -1:]
        return ranks

    return rank


def correlate(weights: Array, x: Array, y: Array) -> Array:
    """Correlation of centred values, all of shape (r, N); NaN where one of them is all 0."""
    weighted = weights * x
    xy, xx = np.einsum("rn,rn->r", weighted, y), np.einsum("rn,rn->r", weighted, x)
    np.multiply(weights, y, out=weighted)
    yy = np.einsum("rn,rn->r", weighted, y)
    return ratio(xy, np.sqrt(xx * yy))


def centred(weights: Array, values: Array) -> Array:
    """Values (N,) minus their mean in each resample: (r, N); exactly 0 where they are constant."""
    mean = ratio(weights @ values, weights.sum(1))
    occurs = weights > 0
    lowest = np.where(occurs, values, np.inf).min(1, initial=np.inf)
    highest = np.where(occurs, values, -np.inf).max(1, initial=-np.inf)
    # rounding may leave the mean of equal values beside them, and a correlation of pure noise
    return np.where((lowest < highest)[:, None], values - mean[:, None], 0.0)


@metric(higher_is_better=True, version=1)
def spearman(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Spearman's rank correlation, equal values sharing their average rank.

    >>> float(spearman([9.0, 7.0, 5.0, 6.0], [1.0, 2.0, 3.0, 4.0])[0])
    -0.8
    """
    answers = known_numbers(predictions, labels, weights)
    # in the order of predictions, so that half of the look-ups in `ranker` are sequential
    answers = answers.take(np.lexsort((answers.label, answers.prediction)))
    rank_predictions, rank_labels = ranker(answers.prediction), ranker(answers.label)
    return answers.score(lambda w: correlate(w, rank_predictions(w), rank_labels(w)))


@metric(higher_is_better=True, version=1)
def pearson(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Pearson's correlation.

    >>> float(pearson([3.0, 2.0, 1.0], [0.0, 1.0, 2.0])[0])
    -1.0
    """
    answers = known_finite(predictions, labels, weights)
    return answers.score(
        lambda w: correlate(w, centred(w, answers.prediction), centred(w, answers.label))
    )


@metric(higher_is_better=True, version=1)
def r2(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Share of the labels' variance that is explained; below 0 if the mean were a better guess.

    >>> float(r2([1.0, 2.0, 2.0], [1.0, 2.0, 3.0])[0])
    0.5
    """
    answers = known_finite(predictions, labels, weights)
    errors = (answers.prediction - answers.label) ** 2

    def score(w: Array) -> Array:
        of_labels = np.einsum("rn,rn->r", w, centred(w, answers.label) ** 2)
        return 1 - ratio(w @ errors, of_labels)

    return answers.score(score)


@metric(higher_is_better=False, version=1)
def rmse(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Root of the mean squared error, in the unit of the labels.

    >>> float(rmse([1.0, 2.0, 5.0, 4.0], [1.0, 2.0, 3.0, 4.0])[0])
    1.0
    """
    answers = known_finite(predictions, labels, weights)
    errors = answers.per_example((answers.prediction - answers.label) ** 2)
    known = answers.per_example(np.ones(len(answers.label)))
    return np.sqrt(ratio(weights @ errors, weights @ known))


__test__ = {  # doctest does not look into a Metric by itself
    each.name: each.fn for each in (spearman, pearson, r2, rmse)
}

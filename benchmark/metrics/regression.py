"""Scores of numbers: correlations, explained variance, error.

Each answer counts once. Means and ranks are those of the resample, not of the test set; the
correlation of a constant is NaN.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmark.core import Array, Examples, Predictions, Scorer, corpus_metric, example_metric
from benchmark.core.metric import ratio
from benchmark.metrics.answers import Answers, cumulate, flatten, one_number


def known_numbers(predictions: Predictions, examples: Examples) -> Answers:
    """Known answers, as float64."""
    answers = one_number(flatten(predictions, examples)).known(real=True)
    return answers._replace(
        prediction=answers.prediction.astype(np.float64), label=answers.label.astype(np.float64)
    )


def known_finite(predictions: Predictions, examples: Examples) -> Answers:
    """Known answers; infinite predictions are refused: only ranks of them are defined."""
    answers = known_numbers(predictions, examples)
    return answers.refuse(~np.isfinite(answers.prediction), "infinite")


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
    # the rounded mean of equal values may differ from them, and their correlation would be noise
    shifted = np.asarray(values - values[(weights > 0).argmax(axis=1)][:, None])
    shifted -= ratio(np.einsum("rn,rn->r", weights, shifted), weights.sum(1))[:, None]
    return shifted


@corpus_metric(higher_is_better=True, version=1, scale="fisher")
def spearman(predictions: Predictions, examples: Examples) -> Scorer:
    """Spearman's rank correlation, equal values sharing their average rank.

    >>> float(spearman.scores([9.0, 7.0, 5.0, 6.0], labelled(1.0, 2.0, 3.0, 4.0))[0])
    -0.8
    """
    answers = known_numbers(predictions, examples)
    # in the order of predictions, so that half of the look-ups in `ranker` are sequential
    answers = answers.take(np.lexsort((answers.label, answers.prediction)))
    rank_predictions, rank_labels = ranker(answers.prediction), ranker(answers.label)
    return partial(answers.score, lambda w: correlate(w, rank_predictions(w), rank_labels(w)))


@corpus_metric(higher_is_better=True, version=1, scale="fisher")
def pearson(predictions: Predictions, examples: Examples) -> Scorer:
    """Pearson's correlation.

    >>> float(pearson.scores([3.0, 2.0, 1.0], labelled(0.0, 1.0, 2.0))[0])
    -1.0
    """
    answers = known_finite(predictions, examples)
    return partial(
        answers.score,
        lambda w: correlate(w, centred(w, answers.prediction), centred(w, answers.label)),
    )


@corpus_metric(higher_is_better=True, version=1, scale="explained")
def r2(predictions: Predictions, examples: Examples) -> Scorer:
    """Share of the labels' variance that is explained; below 0 if their mean predicts better.

    >>> float(r2.scores([1.0, 2.0, 2.0], labelled(1.0, 2.0, 3.0))[0])
    0.5
    """
    answers = known_finite(predictions, examples)
    errors = (answers.prediction - answers.label) ** 2

    def score(w: Array) -> Array:
        of_labels = np.einsum("rn,rn->r", w, centred(w, answers.label) ** 2)
        return 1 - ratio(w @ errors, of_labels)

    return partial(answers.score, score)


@example_metric(higher_is_better=False, version=1, scale="inverse", finish=np.sqrt)
def rmse(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Root of the mean squared error, in the unit of the labels.

    An example's value is its mean squared error, its size the number of known answers.

    >>> float(rmse.scores([1.0, 2.0, 5.0, 4.0], labelled(1.0, 2.0, 3.0, 4.0))[0])
    1.0
    """
    answers = known_finite(predictions, examples)
    return answers.means((answers.prediction - answers.label) ** 2)

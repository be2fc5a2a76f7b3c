"""How well residues were expected: the number of equally likely ones that would be as surprising.

Predictions are natural-log probabilities of the residues of each protein, labels NaN where none was
asked. 1 is certainty, 20 knows nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmark.core import Array, Value, metric
from benchmark.metrics.answers import mean_over_examples, ratio
from benchmark.metrics.regression import known_finite

ROUNDING = 1e-6
"""A logarithm of 1 may come out as much above 0."""


class Surprise(NamedTuple):
    """Of each example the sum of negative log-probabilities, and how many they are; (n,) each."""

    total: Array
    asked: Array


def surprise(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Surprise:
    """Sum what was asked; refuse what is no log-probability."""
    answers = known_finite(predictions, labels, weights)
    if (answers.label != 0).any():
        wrong = answers.label[answers.label != 0][0]
        raise ValueError(f"label {wrong:g}; this metric is for kind=log_prob, where asked means 0")
    above = answers.prediction > ROUNDING
    if above.any():
        raise ValueError(f"prediction of example {answers.example[above][0]} is above log 1")
    return Surprise(
        answers.per_example(-answers.prediction), answers.per_example(np.ones(len(above)))
    )


@metric(higher_is_better=False, version=1)
def perplexity(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Exponential of the mean negative log-probability over the residues of all proteins.

    >>> halves, eighths = np.log([0.5, 0.5]), np.log([0.125, 0.125])
    >>> round(float(perplexity([halves, eighths], [np.zeros(2), np.zeros(2)])[0]), 6)
    4.0
    """
    total, asked = surprise(predictions, labels, weights)
    return np.exp(ratio(weights @ total, weights @ asked))


@metric(higher_is_better=False, version=1)
def perplexity_per_protein(
    predictions: Sequence[Value], labels: Sequence[Value], weights: Array
) -> Array:
    """Mean over proteins of each one's own perplexity.

    >>> halves, eighths = np.log([0.5, 0.5]), np.log([0.125, 0.125])
    >>> round(float(perplexity_per_protein([halves, eighths], [np.zeros(2), np.zeros(2)])[0]), 6)
    5.0
    """
    total, asked = surprise(predictions, labels, weights)
    return mean_over_examples(np.exp(ratio(total, asked)), weights)


__test__ = {each.name: each.fn for each in (perplexity, perplexity_per_protein)}

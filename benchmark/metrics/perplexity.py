"""Perplexity: the number of equally likely residues that would be as surprising.

Predictions are natural-log probabilities of the residues of each protein; labels are 0 at scored
residues and NaN elsewhere. The best value is 1; uniform probabilities score 20.
"""

import numpy as np

from benchmark.core import Array, Examples, Predictions, example_metric
from benchmark.metrics.regression import known_finite

ROUNDING = 1e-6
"""Rounding may leave the logarithm of 1 this far above 0."""


def surprise(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Mean negative log-probability of each example, and its scored residues; (n,) each."""
    answers = known_finite(predictions, examples)
    if (wrong := answers.label != 0).any():
        label = answers.label[wrong][0]
        raise ValueError(f"label {label:g}; this metric is for kind=likelihood: 0 where scored")
    answers.refuse(answers.prediction > ROUNDING, "above log 1")
    return answers.means(-answers.prediction)


@example_metric(higher_is_better=False, version=1, scale="log", finish=np.exp)
def perplexity(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Exponential of the mean negative log-probability over the residues of all proteins.

    An example's value is its mean negative log-probability, its size the scored residues.

    >>> halves, eighths = np.log([0.5, 0.5]), np.log([0.125, 0.125])
    >>> round(float(perplexity.scores([halves, eighths], labelled([0.0, 0.0], [0.0, 0.0]))[0]), 6)
    4.0
    """
    return surprise(predictions, examples)


@example_metric(higher_is_better=False, version=1, scale="log")
def perplexity_per_protein(predictions: Predictions, examples: Examples) -> Array:
    """Mean over proteins of each protein's perplexity.

    >>> halves, eighths = np.log([0.5, 0.5]), np.log([0.125, 0.125])
    >>> two = labelled([0.0, 0.0], [0.0, 0.0])
    >>> round(float(perplexity_per_protein.scores([halves, eighths], two)[0]), 6)
    5.0
    """
    return np.asarray(np.exp(surprise(predictions, examples)[0]))

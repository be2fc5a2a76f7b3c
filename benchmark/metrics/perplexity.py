"""Perplexity: the number of equally likely residues that would be as surprising.

Also an estimate of the pseudo-perplexity from one pass, in which the model sees every residue.
Predictions are natural-log probabilities of the residues of each protein; labels are 0 at scored
residues and NaN elsewhere. The best value is 1; uniform probabilities score 20.
"""

import numpy as np

from benchmark.core import Array, Examples, Predictions, Value, example_metric
from benchmark.metrics.regression import known_finite

SEEN = 21
"""How many times likelier masked training shows a residue if it is the true one: of the residues to
predict, 10 % stay and 10 % are replaced by a random one of 20; (0.1 + 0.1 / 20) / (0.1 / 20)."""
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


@example_metric(higher_is_better=False, version=1)
def bits_per_residue(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Mean of -log2 of the probability over the residues of all proteins: log2 of the perplexity.

    >>> halves, eighths = np.log([0.5, 0.5]), np.log([0.125, 0.125])
    >>> two = labelled([0.0, 0.0], [0.0, 0.0])
    >>> round(float(bits_per_residue.scores([halves, eighths], two)[0]), 6)
    2.0
    """
    values, sizes = surprise(predictions, examples)
    return values / np.log(2), sizes


@example_metric(higher_is_better=False, version=1, scale="log")
def perplexity_per_protein(predictions: Predictions, examples: Examples) -> Array:
    """Mean over proteins of each protein's perplexity.

    >>> halves, eighths = np.log([0.5, 0.5]), np.log([0.125, 0.125])
    >>> two = labelled([0.0, 0.0], [0.0, 0.0])
    >>> round(float(perplexity_per_protein.scores([halves, eighths], two)[0]), 6)
    5.0
    """
    return np.asarray(np.exp(surprise(predictions, examples)[0]))


@example_metric(higher_is_better=False, version=1, scale="log", finish=np.exp)
def single_pass_pseudo_perplexity(
    predictions: Predictions, examples: Examples
) -> tuple[Array, Array]:
    """Biased estimate of the pseudo-perplexity from probabilities of residues that the model sees.

    In masked training like that of BERT and ESM-2 (Devlin et al. 2019), a residue that is shown and
    predicted is the true one with probability s = 21 p / (1 + 20 p), by Bayes' theorem, if it has
    probability p given all others; so p = s / (21 - 20 s). After other training p is wrong, and a
    trained model only approximates s.

    Gordon et al. 2025 ("Protein language model fitness is a matter of preference") also take a
    single pass; Kantroo et al. 2024 ("Pseudo-perplexity in one fell swoop for protein fitness
    estimation") train a network to correct it.

    >>> two = labelled([0.0, 0.0])
    >>> round(float(single_pass_pseudo_perplexity.scores([np.log([0.84, 0.84])], two)[0]), 6)
    5.0
    """
    return surprise([estimate(logs) for logs in predictions], examples)


@example_metric(higher_is_better=False, version=1, scale="log", finish=np.exp)
def single_pass_uncorrected(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Perplexity of residues that the model sees: far too low, and lower the more it copies them.

    >>> halves, eighths = np.log([0.5, 0.5]), np.log([0.125, 0.125])
    >>> two = labelled([0.0, 0.0], [0.0, 0.0])
    >>> round(float(single_pass_uncorrected.scores([halves, eighths], two)[0]), 6)
    4.0
    """
    return surprise(predictions, examples)


def estimate(logs: Value) -> Array:
    """Estimated log-probability of residues given all others, from those where they are seen."""
    given = np.asarray(logs, np.float64)
    seen = np.minimum(given, 0)
    corrected = seen - np.log1p((1 - SEEN) * np.expm1(seen))
    return np.where(given > ROUNDING, given, corrected)  # `surprise` refuses those above log 1

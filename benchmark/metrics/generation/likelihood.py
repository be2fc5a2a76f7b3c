"""Perplexity of generated sequences, under a judge and under the model that generated them.

A judge finds repetitive sequences likely, too: a perplexity below that of natural proteins is read
together with the metrics of composition.
"""

from math import nan

import numpy as np

from benchmark.core import Array, Examples, Predictions, example_metric
from benchmark.metrics.generation.measured import each, sequences


@example_metric(higher_is_better=False, version=1, scale="log", finish=np.exp)
def judge_perplexity(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Perplexity over the scored residues of all sequences under the judge (`task.judge`).

    Of a masked judge it is the pseudo-perplexity at no more than 16 positions of each sequence.
    """
    sizes = np.array([one.judged for one in sequences(predictions)], np.float64)
    return each(predictions, lambda one: -one.judge), sizes


@example_metric(higher_is_better=None, version=1, scale="log", finish=np.exp)
def own_perplexity(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Perplexity over all residues under the causal model that generated them."""
    sizes = np.array([len(one.chain) for one in sequences(predictions)], np.float64)
    return each(predictions, lambda one: nan if one.masked else -one.log_likelihood), sizes


@example_metric(higher_is_better=None, version=1, scale="log", finish=np.exp)
def own_pseudo_perplexity(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """The same of a masked model: each residue given those that were there when it was filled in.

    It depends on the order in which positions are filled, and does not compare with perplexity.
    """
    sizes = np.array([len(one.chain) for one in sequences(predictions)], np.float64)
    return each(predictions, lambda one: -one.log_likelihood if one.masked else nan), sizes

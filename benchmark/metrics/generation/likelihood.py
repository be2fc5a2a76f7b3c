"""Perplexity of generated sequences, under a judge and under the model that generated them.

A judge finds repetitive sequences likely, too: a perplexity below that of natural proteins is read
together with the metrics of composition.
"""

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
    """Perplexity over what follows the prompts under the causal model that generated it.

    The end of a sequence counts as a residue. Undefined for masked models and natural proteins.
    """
    sizes = np.array([one.scored for one in sequences(predictions)], np.float64)
    return each(predictions, lambda one: -one.log_likelihood), sizes

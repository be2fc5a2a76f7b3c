"""Ends, lengths and duplicates of generated sequences."""

from math import isnan, nan

import numpy as np

from benchmark.core import Array, Examples, Predictions, example_metric, set_metric
from benchmark.metrics.generation.measured import chains, natural_chains, sequences


@example_metric(higher_is_better=True, version=1, scale="logit")
def ended(predictions: Predictions, examples: Examples) -> Array:
    """Share of sequences that a causal model ended before the longest allowed length.

    Undefined for mask-refill, whose lengths are given, and for natural proteins.
    """
    found = [nan if isnan(one.log_likelihood) else one.ended for one in sequences(predictions)]
    return np.array(found, np.float64)


@example_metric(higher_is_better=None, version=1)
def length(predictions: Predictions, examples: Examples) -> Array:
    """Mean number of residues."""
    return np.array([len(one.chain) for one in sequences(predictions)], np.float64)


@set_metric(higher_is_better=False, version=1)
def length_distance(predictions: Predictions, examples: Examples) -> float:
    """Wasserstein distance between the lengths of generated and natural sequences, in residues.

    Of two sets of equal size, it is the mean difference of their sorted lengths.
    """
    lengths = ([len(one.chain) for one in sequences(predictions)], natural_chains(examples))
    made, natural = np.sort(lengths[0]), np.sort([len(chain) for chain in lengths[1]])
    return float(np.abs(made - natural).mean())


@set_metric(higher_is_better=False, version=1)
def duplicates(predictions: Predictions, examples: Examples) -> float:
    """Share of sequences that equal an earlier one."""
    found = chains(predictions)
    return 1 - len(set(found)) / len(found) if found else nan

"""Similarity of generated sequences to their nearest natural protein, by MMseqs2.

Sequences under 30 residues are too short for the search and have no value. Low identity is what the
papers claim; memorised and random sequences are the two extremes, so there is no direction.
"""

from math import nan

import numpy as np

from benchmark.core import Array, Examples, Predictions, example_metric
from benchmark.metrics.generation.measured import each


def between(predictions: Predictions, low: float, high: float) -> Array:
    """1 for each sequence whose identity is in [low, high), 0 for others, (n,)."""
    values = each(predictions, lambda one: one.identity)
    inside = (values >= low) & (values < high)
    return np.where(np.isnan(values), nan, inside)


@example_metric(higher_is_better=None, version=1, scale="logit")
def nearest_identity(predictions: Predictions, examples: Examples) -> Array:
    """Mean identity to the nearest natural protein, of the sequences with a hit."""
    return each(predictions, lambda one: one.identity or nan)


@example_metric(higher_is_better=None, version=1, scale="logit")
def nearest_coverage(predictions: Predictions, examples: Examples) -> Array:
    """Mean share of the shorter protein that is aligned, of the sequences with a hit."""
    return each(predictions, lambda one: one.coverage)


@example_metric(higher_is_better=None, version=1, scale="logit")
def without_hit(predictions: Predictions, examples: Examples) -> Array:
    """Share of sequences without a hit."""
    return between(predictions, 0, 1e-9)


@example_metric(higher_is_better=None, version=1, scale="logit")
def identity_below_50(predictions: Predictions, examples: Examples) -> Array:
    """Share of sequences with a hit, of an identity below 50 %."""
    return between(predictions, 1e-9, 0.5)


@example_metric(higher_is_better=None, version=1, scale="logit")
def identity_50_90(predictions: Predictions, examples: Examples) -> Array:
    """Share of sequences with an identity from 50 % to below 90 %."""
    return between(predictions, 0.5, 0.9)


@example_metric(higher_is_better=None, version=1, scale="logit")
def identity_from_90(predictions: Predictions, examples: Examples) -> Array:
    """Share of sequences with an aligned part at 90 % or more; read it with `nearest_coverage`."""
    return between(predictions, 0.9, np.inf)

"""Secondary structure of generated sequences, as a probe predicts it from their embeddings.

The probe (linear, trained on pocket_ss8, on the embeddings of the judge) is far from exact, so
shares are read against those of natural proteins.
"""

from math import nan

import numpy as np

from benchmark.core import Array, Examples, Predictions, example_metric
from benchmark.metrics.generation.measured import each, sequences


def shares(predictions: Predictions, state: int) -> tuple[Array, Array]:
    """Expected share of a state in each sequence, and its residues; (n,) each."""
    sizes = np.array([len(one.chain) for one in sequences(predictions)], np.float64)
    return each(predictions, lambda one: one.structure[state] if one.structure.size else nan), sizes


@example_metric(higher_is_better=None, version=1, scale="logit")
def helix(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Expected share of residues in helices (DSSP's G, H and I)."""
    return shares(predictions, 0)


@example_metric(higher_is_better=None, version=1, scale="logit")
def strand(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Expected share of residues in strands (E and B)."""
    return shares(predictions, 1)


@example_metric(higher_is_better=None, version=1, scale="logit")
def coil(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Expected share of all other residues."""
    return shares(predictions, 2)

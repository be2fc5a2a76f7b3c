"""Secondary structure: the share of residues whose DSSP state is right, of eight or of three.

States of DSSP 2 (Kabsch & Sander 1983, doi:10.1002/bip.360221211): G, H, I helices; B bridge,
E strand; S bend, T turn, C none of them. In Q8 and Q3 every residue has the same weight; in the
`_per_protein` forms every protein has.
"""

import numpy as np

from benchmark.core import Array, Examples, Predictions, example_metric
from benchmark.metrics.classification import decide

DSSP8 = "GHIBESTC"
"""The order of eight classes."""
DSSP3 = "HEC"
"""The order of three classes."""
THREE_OF_EIGHT = np.array([DSSP3.index(state) for state in "HHHEECCC"])
"""The class in DSSP3 of each class in DSSP8: G, H, I are H; B, E are E; the rest are C."""


def shares(predictions: Predictions, examples: Examples, states: int) -> tuple[Array, Array]:
    """Share of each protein's known residues whose state is right; and known residues. (n,) each.

    Predictions of eight states are mapped to three after the most probable one is chosen.
    """
    answers, shape = decide(predictions, examples), np.shape(predictions[0])
    allowed = sorted({states, len(DSSP8)})
    if len(shape) != 2 or shape[1] not in allowed:
        wanted = " or ".join(f"(L, {n})" for n in allowed)
        raise ValueError(f"a prediction has the shape {shape}, but this metric needs {wanted}")
    prediction, label = answers.prediction, answers.label
    if shape[1] > states:
        prediction, label = THREE_OF_EIGHT[prediction], THREE_OF_EIGHT[label]
    return answers.means(prediction == label)


@example_metric(higher_is_better=True, version=1, scale="logit")
def q8(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Share of residues whose state, of eight, is right.

    >>> states = np.eye(8)
    >>> float(q8.scores([states[[1, 1, 7]], states[[4]]], labelled([1, 0, 7], [4]))[0])
    0.75
    """
    return shares(predictions, examples, len(DSSP8))


@example_metric(higher_is_better=True, version=1, scale="logit")
def q8_per_protein(predictions: Predictions, examples: Examples) -> Array:
    """Mean over proteins of the share of residues whose state, of eight, is right.

    >>> states = np.eye(8)
    >>> float(q8_per_protein.scores([states[[1, 1]], states[[4]]], labelled([1, 0], [4]))[0])
    0.75
    """
    return shares(predictions, examples, len(DSSP8))[0]


@example_metric(higher_is_better=True, version=1, scale="logit")
def q3(predictions: Predictions, examples: Examples) -> tuple[Array, Array]:
    """Share of residues whose state, of three, is right; classes are those of DSSP8 or DSSP3.

    A helix predicted as another kind of helix (H for G) is right:

    >>> states = np.eye(8)
    >>> float(q3.scores([states[[1, 1, 7]], states[[4]]], labelled([1, 0, 7], [4]))[0])
    1.0
    """
    return shares(predictions, examples, len(DSSP3))


@example_metric(higher_is_better=True, version=1, scale="logit")
def q3_per_protein(predictions: Predictions, examples: Examples) -> Array:
    """Mean over proteins of the share of residues whose state, of three, is right.

    >>> states = np.eye(3)
    >>> float(q3_per_protein.scores([states[[0, 1]], states[[2]]], labelled([0, 0], [2]))[0])
    0.75
    """
    return shares(predictions, examples, len(DSSP3))[0]

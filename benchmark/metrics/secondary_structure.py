"""Secondary structure: the share of residues whose DSSP state is right, of eight or of three.

States as DSSP 2 names them (Kabsch & Sander 1983, doi:10.1002/bip.360221211): G, H, I helices;
B bridge, E strand; S bend, T turn, C none of them. Q8 and Q3 count residues alike; the
`_per_protein` forms average each protein's share, so that long chains weigh no more.
"""

from collections.abc import Sequence

import numpy as np

from benchmark.core import Array, Value, metric
from benchmark.metrics.answers import Answers, mean_over_examples, ratio
from benchmark.metrics.classification import decide

DSSP8 = "GHIBESTC"
"""The order of eight classes."""
DSSP3 = "HEC"
"""The order of three classes."""
THREE_OF_EIGHT = np.array([DSSP3.index(state) for state in "HHHEECCC"])
"""The class in DSSP3 of each class in DSSP8: G, H, I are H; B, E are E; the rest are C."""


def eight(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Answers:
    """Known answers as classes of DSSP8."""
    answers = decide(predictions, labels, weights)
    states(predictions, (len(DSSP8),))
    return answers


def three(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Answers:
    """Known answers as classes of DSSP3; predictions of eight states decide first, then map."""
    answers = decide(predictions, labels, weights)
    if states(predictions, (len(DSSP3), len(DSSP8))) == len(DSSP3):
        return answers
    return answers._replace(
        prediction=THREE_OF_EIGHT[answers.prediction], label=THREE_OF_EIGHT[answers.label]
    )


def states(predictions: Sequence[Value], allowed: tuple[int, ...]) -> int:
    """Give the number of states that the predictions have."""
    shape = np.shape(predictions[0]) if len(predictions) else (0, allowed[0])
    if len(shape) != 2 or shape[1] not in allowed:
        wanted = " or ".join(f"(L, {n})" for n in allowed)
        raise ValueError(f"a prediction has the shape {shape}, but this metric needs {wanted}")
    return int(shape[1])


def per_protein(answers: Answers) -> tuple[Array, Array]:
    """Residues that are right, and residues that are known, of each protein: (n,), (n,)."""
    return (
        answers.per_example(answers.prediction == answers.label),
        answers.per_example(np.ones(len(answers.label))),
    )


@metric(higher_is_better=True, version=1)
def q8(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Share of residues whose state, of eight, is right.

    >>> states = np.eye(8)
    >>> float(q8([states[[1, 1, 7]], states[[4]]], [np.array([1, 0, 7]), np.array([4])])[0])
    0.75
    """
    right, known = per_protein(eight(predictions, labels, weights))
    return ratio(weights @ right, weights @ known)


@metric(higher_is_better=True, version=1)
def q8_per_protein(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Mean over proteins of the share of residues whose state, of eight, is right.

    >>> states = np.eye(8)
    >>> predictions, labels = [states[[1, 1]], states[[4]]], [np.array([1, 0]), np.array([4])]
    >>> float(q8_per_protein(predictions, labels)[0])
    0.75
    """
    right, known = per_protein(eight(predictions, labels, weights))
    return mean_over_examples(ratio(right, known), weights)


@metric(higher_is_better=True, version=1)
def q3(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Share of residues whose state, of three, is right; classes may be DSSP8's or DSSP3's.

    A helix taken for another kind of helix (H for G) is right:

    >>> states = np.eye(8)
    >>> float(q3([states[[1, 1, 7]], states[[4]]], [np.array([1, 0, 7]), np.array([4])])[0])
    1.0
    """
    right, known = per_protein(three(predictions, labels, weights))
    return ratio(weights @ right, weights @ known)


@metric(higher_is_better=True, version=1)
def q3_per_protein(predictions: Sequence[Value], labels: Sequence[Value], weights: Array) -> Array:
    """Mean over proteins of the share of residues whose state, of three, is right.

    >>> states = np.eye(3)
    >>> predictions, labels = [states[[0, 1]], states[[2]]], [np.array([0, 0]), np.array([2])]
    >>> float(q3_per_protein(predictions, labels)[0])
    0.75
    """
    right, known = per_protein(three(predictions, labels, weights))
    return mean_over_examples(ratio(right, known), weights)


__test__ = {  # doctest does not look into a Metric by itself
    each.name: each.fn for each in (q8, q8_per_protein, q3, q3_per_protein)
}

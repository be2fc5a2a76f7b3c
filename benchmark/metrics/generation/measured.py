"""A generated sequence, with what models and MMseqs2 found out about it."""

from collections.abc import Callable
from math import nan
from typing import Any, NamedTuple, cast

import numpy as np

from benchmark.core import Array, Examples, Predictions

EMPTY = np.empty(0)


class Measured(NamedTuple):
    """A sequence and its measurements; NaN, "" and empty arrays: not measured."""

    chain: str
    log_likelihood: float = nan
    """Mean natural-log likelihood of what follows the prompt under the model that generated it."""
    scored: int = 0
    """Residues that follow the prompt, and the end."""
    ended: bool = True
    """Whether the model ended it, rather than the longest allowed length."""
    judge: float = nan
    """Mean natural-log likelihood of a residue under the judge."""
    judged: int = 0
    """Residues that the judge scored."""
    nearest: str = ""
    """Name of the natural protein with the most equal residues; "": no hit."""
    identity: float = nan
    """Share of equal residues among the columns aligned with it; 0: no hit; NaN: too short."""
    coverage: float = nan
    """Share of the shorter of the two that is aligned; NaN: no hit."""
    cluster: int = -1
    """Number of its cluster at 50 % identity; -1: not clustered."""
    structure: Array = EMPTY
    """Expected shares of helix, strand and coil, (3,), by a probe on the judge's embeddings."""
    embedding: Array = EMPTY
    """Principal components of the judge's embedding, (d,)."""
    natural: Array = EMPTY
    """The same of the natural protein that is its example's label, (d,)."""


def sequences(predictions: Predictions) -> list[Measured]:
    """The predictions; refuses those of another task."""
    found = cast(list[object], predictions)
    if not all(isinstance(prediction, Measured) for prediction in found):
        raise ValueError("its predictions are not sequences; this metric is for generation tasks")
    return cast(list[Measured], found)


def chains(predictions: Predictions) -> list[str]:
    """The generated sequences that have residues."""
    return [one.chain for one in sequences(predictions) if one.chain]


def each(predictions: Predictions, value: Callable[[Measured], Any]) -> Array:
    """A number for each sequence, (n,); NaN for one without residues."""
    found = [value(one) if one.chain else nan for one in sequences(predictions)]
    return np.array(found, np.float64)


def natural_chains(examples: Examples) -> list[str]:
    """The natural proteins that the sequences are compared with."""
    return [str(example.label) for example in examples]

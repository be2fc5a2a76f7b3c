"""What is asked and what is answered: residues, chains, labels, their form."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import shake_256
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from benchmark.core.errors import UserError

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
"""The 20 standard amino acids, in the order of every residue axis in this package."""

RESIDUE_INDEX: Mapping[str, int] = {residue: index for index, residue in enumerate(RESIDUES)}
"""Index of each amino acid on a residue axis."""

MASK = "_"
"""Stands for a hidden residue in a chain that a masked language model is asked about."""

Array = NDArray[Any]
Chains = tuple[str, ...]
"""One question: the amino-acid sequence of each chain."""
Value = Array | str
"""A label or a prediction; `Readout` gives its shape."""
Level = Literal["protein", "residue"]
"""What an embedding is of."""
Kind = Literal["regression", "classification", "multilabel", "likelihood"]
OLD_KINDS: Mapping[str | None, Kind] = {
    "real": "regression",
    "class": "classification",
    "labels": "multilabel",
    "log_prob": "likelihood",
}
"""Their names before version 0.2."""


class Example(NamedTuple):
    """One question and its answer.

    An unknown answer is NaN where answers are real and -1 where they are classes or labels: it is
    never trained on and never scored.
    """

    chains: Chains
    label: Value
    id: str
    """Digest of the chains and how often they occurred before: pairs the rows of two runs."""
    group: str
    """The unit that is resampled, and never split (a homology cluster, say)."""


@dataclass(frozen=True)
class Readout:
    """The form of an answer.

    | level | label | prediction |
    |---|---|---|
    | protein | () | () |
    | variant | () of the first chain; the second is its wild type | () |
    | residue | (L,) | (L,) |
    | pair | (m, 2): the pairs i < j, 0-based, that are in class 1 | (L, L), symmetric |

    By kind: "regression" is one number; "classification" is one of `size` classes, its prediction
    has a last axis of `size` probabilities, or is the probability of class 1 alone where `size` is
    2; "multilabel" is any of `size` labels, label and prediction have a last axis of `size`.
    "likelihood" asks how likely each
    residue is among `RESIDUES`, as natural logarithm: of a language model itself, for there is
    nothing to learn from. Its label is 0 at `asked` residues and NaN elsewhere, where the
    prediction is NaN, too.
    """

    level: Literal["protein", "variant", "residue", "pair"]
    kind: Kind
    size: int = 1
    min_separation: int = 0
    """Pairs are asked about only where j - i is at least this, in residues."""
    chains: Literal["apart", "joined"] = "apart"
    """Several chains: each is embedded alone, or all as one string with the backbone's linker."""
    context: Literal["left", "both"] | None = None
    """What of a chain a likelihood is conditioned on: the residues before, or all others."""
    positions: int | None = None
    """Most positions of a chain that a likelihood is scored at; None: all."""

    def __post_init__(self) -> None:
        kinds = set(get_args(Kind))
        if self.kind not in kinds:
            hint = f"allowed are {', '.join(sorted(kinds))}"
            hint = f"it is called {OLD_KINDS[self.kind]} now" if self.kind in OLD_KINDS else hint
            raise UserError(f"kind={self.kind} is not known; {hint}")
        if self.chains not in ("apart", "joined"):
            raise UserError(f"chains={self.chains} is not known; allowed are apart, joined")
        least = {"classification": 2}.get(self.kind, 1)
        if (
            type(self.size) is not int
            or self.size < least
            or (self.kind in ("regression", "likelihood")) > (self.size == 1)
        ):
            raise UserError(
                f"size={self.size} does not fit kind={self.kind}; give 2 or more classes, "
                "1 or more labels, and 1 for regression"
            )
        whole = self.level == "residue" and self.context in ("left", "both")
        if (self.kind == "likelihood") != whole:
            raise UserError(
                f"kind={self.kind} with context={self.context} does not fit level={self.level}; a "
                "likelihood is of residues, with context=left or both"
            )
        if self.positions is not None and (type(self.positions) is not int or self.positions < 1):
            raise UserError(f"positions={self.positions} is not allowed; give 1 or more, or null")

    @property
    def width(self) -> int:
        """Numbers per answer in a prediction: 1 means that there is no last axis."""
        return 1 if self.kind == "classification" and self.size == 2 else self.size

    @property
    def first_separation(self) -> int:
        """Smallest j - i of a pair i < j that is predicted, for `numpy.triu_indices`."""
        return max(1, self.min_separation)

    def scored_positions(self, chain: str) -> NDArray[np.intp]:
        """Positions that a likelihood is scored at, counted from 0, ascending.

        Letters beyond the 20 never; of the others `positions` by a digest of the chain, so that
        every model is asked the same, and a larger number asks the same ones and more.
        """
        known = np.array([at for at, letter in enumerate(chain) if letter in RESIDUES], np.intp)
        if self.positions is None:
            return known
        lots = np.frombuffer(shake_256(chain.encode()).digest(8 * len(chain)), "<u8")
        return np.sort(known[np.argsort(lots[known], kind="stable")[: self.positions]])


def known_answers(label: Value, readout: Readout | None = None) -> Array:
    """Which answers of a label are known, in its shape; of pairs, where all are known, (1,)."""
    array = np.asarray(label)
    if readout is None:
        pairs, is_real = array.ndim == 2 and array.shape[1:] == (2,), array.dtype.kind == "f"
    else:
        pairs, is_real = readout.level == "pair", readout.kind in ("regression", "likelihood")
    if pairs:  # a pair that is not listed is in class 0
        return np.ones(1, bool)
    return np.asarray(~np.isnan(array) if is_real else array != -1)


def contact_map(label: Value, length: int) -> NDArray[np.bool_]:
    """Contact map (L, L), symmetric, of a pair label: (m, 2), 0-based, or (0,) without contacts."""
    contacts = np.zeros((length, length), bool)
    i, j = np.asarray(label, np.intp).reshape(-1, 2).T
    contacts[i, j] = contacts[j, i] = True
    return contacts

"""Examples and labels: residues, chains, answers and their form."""

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

END, OTHER = len(RESIDUES), len(RESIDUES) + 1
"""Codes after those of `RESIDUES`: a chain's end, `BREAK` in a text; and any other letter."""
BREAK = "\n"
CODES = np.full(128, OTHER)
CODES[[*map(ord, (*RESIDUES, BREAK))]] = range(OTHER)

MASK = "_"
"""Marks a masked residue in the input of a masked language model."""

Array = NDArray[Any]
Float32 = NDArray[np.float32]
Chains = tuple[str, ...]
"""The input of one example: the amino-acid sequence of each chain."""
Value = Array | str | tuple[Any, ...]
"""A label or a prediction; `Readout` defines its shape. A `Sampled` chain is a tuple."""
Level = Literal["protein", "residue"]
"""Whether an embedding represents a whole protein or one residue."""
Kind = Literal["regression", "classification", "multilabel", "likelihood", "sequence"]
OLD_KINDS: Mapping[str | None, Kind] = {
    "real": "regression",
    "class": "classification",
    "labels": "multilabel",
    "log_prob": "likelihood",
}
"""Old name of a kind (before version 0.2) -> current name."""


class Example(NamedTuple):
    """One labelled example.

    An unknown answer is NaN for regression and likelihood, and -1 for classification and
    multilabel (-1 is an ordinary value in regression). It is neither trained on nor scored.
    """

    chains: Chains
    label: Value
    id: str
    """Digest of the chains, and a counter for repeated chains; aligns the rows of two runs."""
    group: str
    """The resampling unit, which is never split (for example a homology cluster)."""
    name: str = ""
    """The user's own id (FASTA header, id column, `mutant`); in no digest. "": none."""
    reference: Value | None = None
    """What a metric compares with besides the label: a native structure, a parent sequence."""


@dataclass(frozen=True)
class Readout:
    """The form of an answer.

    | level | label | prediction |
    |---|---|---|
    | protein | () | () |
    | variant | () of the first chain; the second is its wild type | () |
    | residue | (L,) | (L,) |
    | pair | (m, 2), rows [i, j], 0-based: see below | (L, L), symmetric |

    A row i < j of a pair label is in class 1; with i = j all pairs of residue i are unknown (it is
    unresolved), with i > j that pair is. All other pairs are in class 0.

    Kinds:

    - "regression": one number.
    - "classification": one of `size` classes. The prediction has a last axis of `size`
      probabilities; with `size` 2 it is the probability of class 1 alone.
    - "multilabel": any of `size` labels; label and prediction have a last axis of `size`.
    - "likelihood": the natural-log probability of each residue among `RESIDUES`, from a language
      model itself; there is no training. The label is 0 at scored positions and NaN elsewhere,
      where the prediction is NaN, too.
    - "sequence": a new chain that begins with the example's own (the prompt, "" for none); the
      prediction is a `Sampled`. The label is not read, and every example counts.
    """

    level: Literal["protein", "variant", "residue", "pair"]
    kind: Kind
    size: int = 1
    min_separation: int = 0
    """Smallest j - i of a scored pair, in residues."""
    chains: Literal["apart", "joined"] = "apart"
    """Several chains are embedded one by one, or as one string with the backbone's linker."""
    context: Literal["left", "both", "unmasked"] | None = None
    """A likelihood is conditioned on the residues before (left), on all others (both), or on the
    whole chain, the residue itself included (unmasked)."""
    positions: int | None = None
    """Largest number of scored positions in a chain, for a likelihood; None: all."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            allowed = f"allowed are {', '.join(sorted(get_args(Kind)))}"
            advice = f"use {OLD_KINDS[self.kind]}" if self.kind in OLD_KINDS else allowed
            raise UserError(f"kind={self.kind} is not known; {advice}")
        if self.chains not in ("apart", "joined"):
            raise UserError(f"chains={self.chains} is not known; allowed are apart, joined")
        least = 2 if self.kind == "classification" else 1
        scalar = self.kind in ("regression", "likelihood", "sequence")
        if type(self.size) is not int or self.size < least or (scalar and self.size > 1):
            raise UserError(
                f"size={self.size} does not fit kind={self.kind}; give 2 or more classes, "
                "1 or more labels, and 1 for regression"
            )
        if self.kind == "sequence" and self.level != "protein":
            raise UserError(
                f"kind=sequence does not fit level={self.level}; it takes level=protein"
            )
        whole = self.level == "residue" and self.context in ("left", "both", "unmasked")
        if (self.kind == "likelihood") != whole:
            raise UserError(
                f"kind={self.kind} with context={self.context} does not fit level={self.level}; "
                "kind=likelihood takes level=residue and context=left, both or unmasked"
            )
        if self.positions is not None and (type(self.positions) is not int or self.positions < 1):
            raise UserError(f"positions={self.positions} is not allowed; give 1 or more, or null")

    @property
    def width(self) -> int:
        """Numbers per answer in a prediction; 1: there is no last axis."""
        return 1 if self.kind == "classification" and self.size == 2 else self.size

    @property
    def first_separation(self) -> int:
        """Smallest j - i of a pair i < j that is predicted, for `numpy.triu_indices`."""
        return max(1, self.min_separation)

    def scored_positions(self, chain: str) -> NDArray[np.intp]:
        """Positions at which a likelihood is scored, 0-based, ascending.

        Letters other than the 20 amino acids are never scored. Of the others, a digest of the chain
        chooses `positions`: the same for every model, and a larger number includes a smaller one's.
        """
        known = np.array([at for at, letter in enumerate(chain) if letter in RESIDUES], np.intp)
        if self.positions is None:
            return known
        lots = np.frombuffer(shake_256(chain.encode()).digest(8 * len(chain)), "<u8")
        return np.sort(known[np.argsort(lots[known], kind="stable")[: self.positions]])


def residue_codes(text: str) -> Array:
    """The code of each letter, (L,)."""
    return CODES[np.frombuffer(text.encode("ascii", "replace"), np.uint8)]


def known_answers(label: Value, readout: Readout) -> Array:
    """Which answers of a label are known, in its shape; of pairs and sequences all, (1,)."""
    if readout.level == "pair" or readout.kind == "sequence":  # an unlisted pair is in class 0
        return np.ones(1, bool)
    array = np.asarray(label)
    real = readout.kind in ("regression", "likelihood")
    return np.asarray(~np.isnan(array) if real else array != -1)


def has_answer(label: Value, readout: Readout) -> bool:
    """Whether any answer of a label is known."""
    return bool(known_answers(label, readout).any())


def contact_map(label: Value, length: int) -> NDArray[np.bool_]:
    """Contact map (L, L), symmetric, of a pair label (`Readout`), which may be empty."""
    i, j = np.asarray(label, np.intp).reshape(-1, 2).T
    contacts = np.zeros((length, length), bool)
    contacts[i[i < j], j[i < j]] = True
    return contacts | contacts.T


def known_pairs(label: Value, length: int) -> NDArray[np.bool_]:
    """Which pairs of a pair label are known, (L, L), symmetric."""
    i, j = np.asarray(label, np.intp).reshape(-1, 2).T
    known = np.ones((length, length), bool)
    known[i[i == j]] = False
    known[i[i > j], j[i > j]] = False
    return known & known.T

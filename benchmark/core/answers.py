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
    name: str = ""
    """The user's own id: first word of a FASTA header, column `id`, `mutant`; "" if none."""
    reference: Value | None = None
    """What a metric compares with beside the label: a native structure, a parent sequence."""


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


def known_answers(answers: Value, kind: Kind) -> Array:
    """Which answers are known, in their shape: not NaN where they are numbers, else not -1."""
    array = np.asarray(answers)
    return np.asarray(~np.isnan(array) if kind in ("regression", "likelihood") else array != -1)


def has_answer(label: Value, readout: Readout) -> bool:
    """Whether any answer of a label is known; pairs always are: absent ones are class 0."""
    return readout.level == "pair" or bool(known_answers(label, readout.kind).any())

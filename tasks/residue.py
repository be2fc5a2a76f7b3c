"""One answer per residue: secondary structure, disorder, solvent accessibility."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmark.core import Array, Chains, Readout, UserError
from benchmark.metrics.secondary_structure import DSSP3, DSSP8
from tasks.table import TableTask, read_answers

LOOPS = "- L_"
"""Other letters for the loop in `states`."""
POLY_PROLINE = "P"


@dataclass(frozen=True, kw_only=True)
class Residue(TableTask):
    """A number or a class of `size` for each residue of a chain.

    The label's cell is a list of numbers, or a string (or list) with one letter per residue:
    `states` lists the letter of class 0, of class 1, and so on, `missing` those that mark residues
    without a state. In an empty cell no residue has an answer.
    """

    VERSION = 1
    kind: Literal["regression", "classification"]
    size: int
    states: str | None

    def __post_init__(self) -> None:
        super().__post_init__()
        states = self.states or ""
        if both := set(states) & set(self.missing):
            raise UserError(f"{min(both)!r} is in task.states and in task.missing; leave it in one")
        if len(set(states)) < len(states) or (states and len(states) != self.size):
            raise UserError(
                f"states={states!r} are not {self.size} different letters, one for each class"
            )

    @property
    def readout(self) -> Readout:
        """One answer per residue."""
        return Readout("residue", self.kind, self.size)

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (L,)."""
        if len(chains) != 1:
            raise ValueError(f"{len(chains)} chains, but labels per residue need a single chain")
        if is_blank(cell):
            cell = [None] * len(chains[0])
        if isinstance(cell, str) and ";" in cell:
            cell = [None if part.strip() in self.missing else part for part in cell.split(";")]
        if self.states is not None and any(isinstance(state, str) for state in cell):
            cell = [self.state(state) for state in cell]
        label = read_answers(cell, self.readout)
        if label.shape != (len(chains[0]),):
            raise ValueError(f"{label.size} labels for a chain of {len(chains[0])} residues")
        return label

    def state(self, letter: str | None) -> int:
        """The class of a letter, -1 for one that is unknown."""
        if letter is None or letter in self.missing:
            return -1
        if letter not in (self.states or ""):
            raise ValueError(
                f"label has the state {letter!r}; allowed are {self.states}; if it marks residues "
                f"without a state, add it to task.missing, as in task.missing=['{letter}']"
            )
        return (self.states or "").index(letter)


def is_blank(cell: object) -> bool:
    """Whether a cell is null, empty text or NaN; "NA" is a string of states."""
    return not cell if isinstance(cell, str | None) else isinstance(cell, float) and cell != cell


@dataclass(frozen=True, kw_only=True)
class SecondaryStructure(Residue):
    """DSSP states, eight or three; `states` is their order in the source.

    The loop, C, may be written as "-", " ", "L" or "_" there. P, the poly-proline helix that DSSP
    assigns from version 4 on to residues of no other state, is read as a loop, as in the eight
    states of earlier versions, and counted.
    """

    VERSION = 1

    @property
    def order(self) -> str:
        """The states in the order of the source, with the loop as C."""
        return (self.states or "").translate(dict.fromkeys(map(ord, LOOPS), "C"))

    @property
    def readout(self) -> Readout:
        """One of 8 or 3 states, in the order of the metrics."""
        if sorted(self.order) not in (sorted(DSSP3), sorted(DSSP8)):
            raise UserError(f"states must be the letters of {DSSP8} or {DSSP3} in some order")
        return Readout("residue", "classification", self.size)

    def reads_as_loop(self, letter: str | None) -> bool:
        """Whether a letter is the P that stands for a loop."""
        return letter == POLY_PROLINE and self.size == len(DSSP8) and letter not in self.missing

    def state(self, letter: str | None) -> int:
        """The class of a letter, -1 for one that is unknown."""
        return self.order.index("C") if self.reads_as_loop(letter) else super().state(letter)

    def changed(self, cell: Any) -> Mapping[str, int]:
        """How many residues of a poly-proline helix are read as loop."""
        letters = cell if isinstance(cell, str) else ""
        return {"poly-proline_residues_read_as_loop": sum(map(self.reads_as_loop, letters))}

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (L,), with classes in the order of `benchmark.metrics`."""
        order = DSSP8 if self.size == len(DSSP8) else DSSP3
        ours = np.array([order.index(state) for state in self.order] + [-1])
        return ours[super().parse(cell, chains)]

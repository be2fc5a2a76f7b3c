"""One answer per residue: secondary structure, disorder, solvent accessibility."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmark.core import Array, Chains, Readout, UserError
from benchmark.metrics.secondary_structure import DSSP3, DSSP8
from tasks.table import TableTask, read_answers


@dataclass(frozen=True, kw_only=True)
class Residue(TableTask):
    """A number or a class of `size` for each residue of a chain.

    The label's cell is a list of numbers, or a string with one letter per residue: `states` lists
    the letter of class 0, of class 1, and so on.
    """

    VERSION = 1
    kind: Literal["regression", "classification"]
    size: int
    states: str | None

    @property
    def readout(self) -> Readout:
        """One answer per residue."""
        return Readout("residue", self.kind, self.size)

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (L,)."""
        if len(chains) != 1:
            raise ValueError(f"{len(chains)} chains, but labels per residue need a single chain")
        if isinstance(cell, str) and self.states is not None:
            if wrong := set(cell) - set(self.states):
                raise ValueError(f"label has the state {min(wrong)!r}; allowed are {self.states}")
            cell = [self.states.index(state) for state in cell]
        label = read_answers(cell, self.readout)
        if label.shape != (len(chains[0]),):
            raise ValueError(f"{label.size} labels for a chain of {len(chains[0])} residues")
        return label


@dataclass(frozen=True, kw_only=True)
class SecondaryStructure(Residue):
    """DSSP states, eight or three; `states` is their order in the source."""

    VERSION = 1

    @property
    def readout(self) -> Readout:
        """One of 8 or 3 states, in the order of the metrics."""
        order = {len(DSSP3): DSSP3, len(DSSP8): DSSP8}.get(self.size)
        if order is None or sorted(self.states or "") != sorted(order):
            raise UserError(f"states must be the letters of {DSSP8} or {DSSP3} in some order")
        return Readout("residue", "classification", self.size)

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (L,), with classes in the order of `benchmark.metrics`."""
        order = DSSP8 if self.size == len(DSSP8) else DSSP3
        ours = np.array([order.index(state) for state in self.states or ""] + [-1])
        return ours[super().parse(cell, chains)]

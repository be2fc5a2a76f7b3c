"""How well a language model expects natural proteins."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmark.core import Array, Chains, Readout
from tasks.table import TableTask


@dataclass(frozen=True, kw_only=True)
class Perplexity(TableTask):
    """The probability of each residue among the 20; all of the table is tested, nothing learned.

    context: left, the residues before it, for causal models; both, all others, for masked ones. The
        two are different questions, whose scores are not to be compared.
    positions: residues that are asked of each chain, the same ones of every model; null: all. With
        few, long chains weigh no more than short ones, and the mean of each protein's own
        perplexity is above that of all its residues: compare it at the same number only.
    """

    VERSION = 1
    context: Literal["left", "both"]
    positions: int | None

    @property
    def readout(self) -> Readout:
        """A log-probability a residue."""
        return Readout("residue", "likelihood", context=self.context, positions=self.positions)

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (L,): 0 where a residue is asked, NaN elsewhere."""
        if len(chains) != 1:
            raise ValueError(f"{len(chains)} chains, but perplexity is of a single one")
        chain = chains[0][: self.max_length]  # as the model reads it: what is asked depends on it
        label = np.full(len(chain), np.nan)
        label[self.readout.scored_positions(chain)] = 0
        return label

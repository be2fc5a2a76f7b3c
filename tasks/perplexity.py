"""Perplexity of natural proteins under a language model."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmark.core import Array, Chains, Readout
from tasks.table import TableTask


@dataclass(frozen=True, kw_only=True)
class Perplexity(TableTask):
    """The probability of each residue among the 20; the whole table is tested, without training.

    context: left, the residues before, for causal models; both, all other residues, for masked
        models. The two perplexities must not be compared.
    positions: number of scored residues in each chain, the same ones for every model; null: all.
        With a small number, long chains weigh no more than short ones, and the mean of the
        perplexities per protein exceeds that over all residues: compare only at the same number.
    """

    VERSION = 1
    context: Literal["left", "both"]
    positions: int | None

    @property
    def readout(self) -> Readout:
        """One log-probability per residue."""
        return Readout("residue", "likelihood", context=self.context, positions=self.positions)

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (L,): 0 at scored residues, NaN elsewhere."""
        if len(chains) != 1:
            raise ValueError(f"{len(chains)} chains, but perplexity needs a single chain")
        chain = chains[0][: self.max_length]  # what the model reads decides the scored positions
        label = np.full(len(chain), np.nan)
        label[self.readout.scored_positions(chain)] = 0
        return label

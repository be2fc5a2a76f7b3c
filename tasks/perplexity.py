"""Perplexity of natural proteins under a language model."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from benchmark.core import Array, Chains, Readout, Splits, UserError
from benchmark.data.reference import open_reference
from tasks.table import TableTask

OF_OTHERS = "perplexity", "perplexity_per_protein", "bits_per_residue"
"""Metrics that are not for unmasked chains."""


@dataclass(frozen=True, kw_only=True)
class Perplexity(TableTask):
    """The probability of each residue among the 20; the whole table is tested, without training.

    context: left, the residues before, for causal models; both, all other residues, for masked
        models; unmasked, the whole chain in one pass of a masked model, which sees the residue that
        it predicts. The three must not be compared.
    positions: number of scored residues in each chain, the same ones for every model; null: all.
        With a small number, long chains weigh no more than short ones, and the mean of the
        perplexities per protein exceeds that over all residues: compare only at the same number.
    bands_against: proteins, such as a model's training set, for scores by identity to the nearest
        of them: the path of a FASTA file or of a database of MMseqs2; null: no bands.
    """

    VERSION = 1
    context: Literal["left", "both", "unmasked"]
    positions: int | None
    bands_against: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        unmasked = [name for name in self.metrics if name.startswith("single_pass_")]
        others = [name for name in self.metrics if name in OF_OTHERS]
        if wrong := others if self.context == "unmasked" else unmasked:
            raise UserError(
                f"the metric {wrong[0]} is not for context={self.context}; give task=perplexity, "
                "pseudo_perplexity, or single_pass_pseudo_perplexity for unmasked chains"
            )

    @property
    def readout(self) -> Readout:
        """One log-probability per residue."""
        return Readout("residue", "likelihood", context=self.context, positions=self.positions)

    def load(self) -> Splits:
        """Read the examples, and open the proteins that identity bands are against."""
        against = self.bands_against and open_reference(str(self.bands_against), "bands_against")
        return super().load()._replace(against=against or None)

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (L,): 0 at scored residues, NaN elsewhere."""
        if len(chains) != 1:
            raise ValueError(f"{len(chains)} chains, but perplexity needs a single chain")
        chain = chains[0][: self.max_length]  # what the model reads decides the scored positions
        label = np.full(len(chain), np.nan)
        label[self.readout.scored_positions(chain)] = 0
        return label

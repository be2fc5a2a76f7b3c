"""Contacts between residues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import Array, Chains, Example, Readout, UserError, Value
from benchmark.metrics.contact import KEPT, RANGES, hits, rank_pairs
from tasks.table import TableTask

NEAREST = RANGES["short"][0]


@dataclass(frozen=True, kw_only=True)
class Contact(TableTask):
    """Pairs of residues whose C-beta are closer than 8 Å, scored where |i - j| >= `min_separation`.

    The label's cell is a list of pairs [i, j], 0-based, in any order; the diagonal is ignored.
    """

    VERSION = 1
    min_separation: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.min_separation) is not int or self.min_separation < 1:
            raise UserError(
                f"min_separation={self.min_separation} is not allowed; give residues, 1 or more"
            )

    @property
    def readout(self) -> Readout:
        """Pairs from the smallest separation of any scored range."""
        return Readout("pair", "classification", 2, min(self.min_separation, NEAREST))

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (m, 2), i < j."""
        if len(chains) != 1:
            raise ValueError(f"{len(chains)} chains, but contacts need a single chain")
        if cell is None:
            raise ValueError("no contacts; give an empty list for a chain without contacts")
        pairs = np.asarray(cell)
        if pairs.size == 0:
            return np.empty((0, 2), np.int32)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
            raise ValueError("contacts are not a list of pairs [i, j] of whole numbers")
        pairs = np.sort(pairs.astype(np.int64), axis=1)
        if not 0 <= pairs.min() <= pairs.max() < len(chains[0]):
            raise ValueError(
                f"contact {pairs[pairs[:, 1].argmax()].tolist()} is outside a chain of "
                f"{len(chains[0])} residues, counted from 0"
            )
        separated = pairs[pairs[:, 1] - pairs[:, 0] >= self.readout.min_separation]
        return np.unique(separated, axis=0).astype(np.int32)

    def compact(self, prediction: Value) -> Array:
        """The top L pairs of each range, which determine every score."""
        return rank_pairs(np.asarray(prediction), self.min_separation)

    def rows(self, example: Example, kept: Value) -> Mapping[str, Any]:
        """The ranked pairs with their scores, and whether each is a contact."""
        pairs = np.asarray(kept)
        return {
            "length": len(example.chains[0]),
            "range": np.array(list(RANGES))[pairs["range"]],
            **{name: pairs[name] for name in ("i", "j", "score")},
            "hit": hits(pairs, np.asarray(example.label)),
        }

    def from_row(self, row: Mapping[str, Any]) -> Array:
        """The ranked pairs as `benchmark.metrics.contact.rank_pairs` returns them."""
        pairs = np.empty(len(row["i"]), KEPT)
        pairs["range"] = [*map(list(RANGES).index, row["range"])]
        for name in ("length", "i", "j", "score"):
            pairs[name] = row[name]
        return pairs

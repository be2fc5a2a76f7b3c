"""Contacts between residues."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.core import Array, Chains, Example, Readout, UserError, Value
from benchmark.data.cell_values import is_missing
from benchmark.metrics.contact import KEPT, RANGES, hits, rank_pairs
from tasks.table import TableTask

NEAREST = RANGES["short"][0]


@dataclass(frozen=True, kw_only=True)
class Contact(TableTask):
    """Pairs of residues whose C-beta are closer than 8 Å, scored where |i - j| >= `min_separation`.

    The label's cell is a list of pairs [i, j], 0-based, in any order, whose diagonal is ignored, or
    an L x L map of 0 and 1, where -1 and NaN are pairs that are not known. In an empty cell no pair
    is known; an empty list is a chain without contacts. A mask column says which residues are
    resolved. Pairs of the others are neither trained on nor scored.
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
        """Make a label of shape (m, 2): contacts i < j; in a map unknown ones, too."""
        if len(chains) != 1:
            raise ValueError(f"{len(chains)} chains, but contacts need a single chain")
        length = len(chains[0])
        if is_missing(cell):
            return np.column_stack([np.arange(length, dtype=np.int32)] * 2)
        pairs = np.asarray(cell)
        if pairs.shape == (length, length) and (length > 2 or pairs.dtype.kind in "bf"):
            return self.from_map(pairs)
        if pairs.size == 0:
            return np.empty((0, 2), np.int32)
        if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
            shape = f" of {' x '.join(map(str, pairs.shape))} entries" if pairs.ndim > 1 else ""
            raise ValueError(
                f"contacts{shape} are not a list of pairs [i, j] of whole numbers, nor a map of "
                f"{length} x {length}"
            )
        pairs = np.sort(pairs.astype(np.int64), axis=1)
        if not 0 <= pairs.min() <= pairs.max() < length:
            raise ValueError(
                f"contact {pairs[pairs[:, 1].argmax()].tolist()} is outside a chain of "
                f"{length} residues, counted from 0"
            )
        separated = pairs[pairs[:, 1] - pairs[:, 0] >= self.readout.min_separation]
        return np.unique(separated, axis=0).astype(np.int32)

    def from_map(self, contacts: Array) -> Array:
        """Make a label from an L x L map: residues without a known pair are unresolved."""
        values = np.where(np.isnan(contacts := contacts.astype(np.float64)), -1, contacts)
        if wrong := set(np.unique(values)) - {-1, 0, 1}:
            raise ValueError(
                f"contact map has the value {min(wrong):g}; allowed are 0, 1, and -1 or NaN for "
                "unknown pairs (a map of distances needs a threshold)"
            )
        if (uneven := values != values.T).any():
            raise ValueError(f"contact map is not symmetric at {np.argwhere(uneven)[0].tolist()}")
        apart = ~np.eye(len(values), dtype=bool)
        unresolved = ((values == -1) | ~apart).all(axis=1)
        rest = ~(unresolved | unresolved[:, None])
        separated = np.tri(len(values), k=-self.readout.first_separation, dtype=bool)
        label = [
            np.argwhere((values == 1) & separated.T),
            np.argwhere(np.diag(unresolved)),
            np.argwhere((values == -1) & separated & rest),
        ]
        return np.concatenate(label).astype(np.int32)

    def compact(self, prediction: Value, example: Example) -> Array:
        """The top L known pairs of each range, which determine every score."""
        return rank_pairs(np.asarray(prediction), self.min_separation, np.asarray(example.label))

    def rows(self, example: Example, compact: Value) -> Mapping[str, Any]:
        """The ranked pairs with their scores, and whether each is a contact."""
        pairs = np.asarray(compact)
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

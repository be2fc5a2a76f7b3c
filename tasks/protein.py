"""One answer per protein: solubility, localization, stability, binding, and the like."""

from dataclasses import dataclass
from typing import Any, Literal

from benchmark.core import Array, Chains, Readout
from tasks.table import TableTask, read_answers


@dataclass(frozen=True, kw_only=True)
class Protein(TableTask):
    """A number, a class of `size`, or any of `size` labels for each protein (one chain or more).

    The label's cell is a number, as text or not; for multilabel a list of `size` entries 0 or 1.
    """

    VERSION = 1
    kind: Literal["regression", "classification", "multilabel"]
    size: int

    @property
    def readout(self) -> Readout:
        """One answer per protein."""
        return Readout("protein", self.kind, self.size, chains=self.chains)

    def parse(self, cell: Any, chains: Chains) -> Array:
        """Make a label of shape (), or (size,) for multilabel."""
        label = read_answers(cell, self.readout)
        if self.kind == "multilabel" or label.ndim == 0:
            return label
        raise ValueError(f"label has the shape {label.shape}; give one value per protein")

"""The papers' probe: their MLP head on frozen vectors, trained as their LoRA is."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.core import Backbone, Chains, ProteinEmbeddings, Readout, ResidueEmbeddings
from benchmark.embedding.features import refusal, side_by_side, vectors
from benchmark.methods.finetune.trainer import Encoder, VectorSource
from benchmark.methods.finetune.training import Training
from benchmark.methods.probe.design_matrix import MemmapTable


@dataclass(frozen=True, kw_only=True)
class Mlp(Training):
    """The head alone is trained. Vectors are made once and spooled to disk."""

    VERSION = 1
    frozen = True

    def encoder(self, backbone: Backbone, readout: Readout) -> Encoder:
        """The backbone as it is."""
        if side_by_side(readout):
            if isinstance(backbone, ProteinEmbeddings):
                return Frozen(backbone, readout, backbone.protein_dim)
            raise refusal(backbone, "one vector a protein")
        if isinstance(backbone, ResidueEmbeddings):
            return Frozen(backbone, readout, backbone.residue_dim)
        raise refusal(backbone, "a vector for each residue")


class Frozen:
    """A backbone that learns nothing."""

    def __init__(self, backbone: Backbone, readout: Readout, width: int) -> None:
        self.backbone = backbone
        self.readout = readout
        self.width = width
        self.device: torch.device = getattr(backbone, "device", torch.device("cpu"))
        self.total = int(backbone.facts().get("parameters", 0))
        self.facts: Mapping[str, Any] = {}

    def attached(self) -> AbstractContextManager[None]:
        """Nothing is attached."""
        return nullcontext()

    def trained(self) -> dict[str, nn.Parameter]:
        """Nothing."""
        return {}

    def train(self, mode: bool) -> None:
        """There is no dropout."""

    @contextmanager
    def source(self, train: Sequence[Chains], valid: Sequence[Chains]) -> Iterator[VectorSource]:
        """Tables on disk, read a batch at a time."""
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            learn, held_out = (
                self.table(part, what, Path(scratch))
                for part, what in ((train, "train"), (valid, "valid"))
            )

            def rows(chosen: Sequence[int]) -> Tensor:
                found = np.concatenate([learn[row] for row in chosen])
                return torch.from_numpy(found).to(self.device)

            yield VectorSource(rows, lambda: held_out)

    def table(
        self, questions: Sequence[Chains], what: str, folder: Path
    ) -> list[np.ndarray[Any, Any]]:
        """The rows of each question, as views of one table."""
        counts = []
        with MemmapTable(folder) as spool:
            for rows in vectors(self.backbone, self.readout, questions, what):
                spool.append(rows)
                counts.append(len(rows))
        return np.split(spool.table(), np.cumsum(counts)[:-1])

    def save(self, folder: Path) -> None:
        """Nothing was learned."""

    def load(self, folder: Path) -> None:
        """Nothing was kept."""

"""The papers' probe: their MLP head on frozen embeddings, trained like their LoRA."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmark.backbones.device import to_device
from benchmark.core import Ability, Array, Chains, FitContext
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import feature_rows, is_protein_level
from benchmark.methods.finetune.trainer import Encoder, VectorSource
from benchmark.methods.finetune.training import Training
from benchmark.methods.probe.tables import new_table


@dataclass(frozen=True, kw_only=True)
class Mlp(Training):
    """Only the head is trained, on embeddings that are computed once."""

    VERSION = 2
    frozen = True

    def encoder(self, context: FitContext) -> Encoder:
        """The frozen backbone."""
        proteins = is_protein_level(context.readout)
        ability: Ability = "protein_embeddings" if proteins else "residue_embeddings"
        context.backbone.require(ability, "this combination of task and method")
        return Frozen(Embedder(context.backbone, context.caches), context.readout)


class Frozen(Encoder):
    """A backbone without trained weights."""

    @contextmanager
    def source(self, train: Sequence[Chains], valid: Sequence[Chains]) -> Iterator[VectorSource]:
        """Tables on disk, read one batch at a time."""
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            train_rows = self.table(train, "train", Path(scratch))
            valid_rows = self.table(valid, "valid", Path(scratch))

            def vectors(batch: Sequence[int]) -> Tensor:
                found = np.concatenate([train_rows[example] for example in batch])
                return to_device(found, self.device)

            yield VectorSource(vectors, lambda: valid_rows)

    def table(self, inputs: Sequence[Chains], split: str, folder: Path) -> list[Array]:
        """The rows of each input, as views of one table."""
        counts = [1] * len(inputs)
        width = self.width * len(inputs[0])
        if not is_protein_level(self.readout):
            counts = [len(chain) for (chain,) in inputs]
        ends = np.cumsum(counts)
        parts = np.split(new_table(int(ends[-1]), width, folder), ends[:-1])
        rows = feature_rows(self.embedder, self.readout, inputs, split)
        for part, found in zip(parts, rows, strict=True):
            part[:] = found
        return parts

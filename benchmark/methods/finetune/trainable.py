"""A transformer with trained weights.

Frozen weights stay in the run's dtype; trained weights are float32. The backbone's own dropout
stays off. Outside of `attached` the backbone has its original weights, bit for bit.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from benchmark.backbones.layers import eager, restored
from benchmark.backbones.packing import again
from benchmark.backbones.transformer import Transformer
from benchmark.core import Backbone, Chains, Readout, UserError
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import check_counts, check_lengths, feature_rows, is_protein_level
from benchmark.methods.finetune.trainer import Encoder, VectorSource


def trainable(backbone: Backbone, method: str) -> Transformer:
    """Refuse a backbone without weights, or with some weights on disk."""
    if not isinstance(backbone, Transformer):
        raise UserError(
            f"method={method} trains a transformer's weights; "
            f"the backbone {type(backbone).__name__} has none"
        )
    if any(parameter.is_meta for parameter in backbone.module.parameters()):
        raise UserError(
            f"method={method} needs all weights in memory, and model.device_map puts some on disk; "
            "leave it out"
        )
    return backbone


class TrainableBackbone(Encoder):
    """An encoder whose weights are trained in whole or in part."""

    def __init__(self, backbone: Transformer, readout: Readout, checkpointing: bool) -> None:
        super().__init__(Embedder(backbone), readout)  # no caches: its weights change
        self.backbone = backbone
        self.checkpointing = checkpointing

    @abstractmethod
    def attach(self) -> None:
        """Put the trained weights in place."""

    @abstractmethod
    def detach(self) -> None:
        """Restore the original weights."""

    @contextmanager
    def attached(self) -> Iterator[None]:
        """With the trained weights in place, and matrix products in the run's dtype."""
        backbone = self.backbone
        wanted, low = backbone.compile, backbone.dtype == "bfloat16"
        # no cache: it would hold low-precision copies of weights that a step has changed
        autocast = torch.autocast(self.device.type, torch.bfloat16, low, cache_enabled=False)
        with restored(backbone.module):
            backbone.module.requires_grad_(False)
            self.attach()
            backbone.flop_counter.forget()
            backbone.compile = False
            try:
                with eager(), autocast:
                    yield
            finally:
                backbone.compile = wanted
                self.detach()
                backbone.flop_counter.forget()

    @contextmanager
    def source(self, train: Sequence[Chains], valid: Sequence[Chains]) -> Iterator[VectorSource]:
        """Embeddings by the current weights."""
        check_counts([*train, *valid])
        check_lengths(self.backbone, [chain for chains in (*train, *valid) for chain in chains])

        def rows(chosen: Sequence[int]) -> Tensor:
            chains = [chain for row in chosen for chain in train[row]]
            with self.checkpointed() if self.checkpointing else nullcontext():
                if is_protein_level(self.readout):
                    return self.backbone.pool(chains).view(len(chosen), -1)
                return self.backbone.residues(chains)

        yield VectorSource(rows, lambda: feature_rows(self.embedder, self.readout, valid, "valid"))

    @contextmanager
    def checkpointed(self) -> Iterator[None]:
        """Gradient checkpointing: blocks recompute their activations in the backward pass.

        transformers' own switch works only in training mode, which turns dropout on.
        """
        blocks: list[Any] = list(self.backbone.blocks().values())
        settings: dict[str, Any] = {
            "use_reentrant": False,
            "context_fn": partial(again, self.backbone.module),
        }
        for block in blocks:
            block.forward = partial(checkpoint, block.forward, **settings)
        try:
            yield
        finally:
            for block in blocks:
                del block.forward

"""A transformer, some weights of which are trained.

Frozen weights stay in the run's number type; what is trained is float32. The backbone's own dropout
stays off. Outside of `attached` the backbone is what its checkpoint made it, bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from benchmark.backbones.packing import again
from benchmark.backbones.transformer import Transformer
from benchmark.core import Backbone, Chains, Readout, UserError
from benchmark.embedding.features import check_counts, check_lengths, side_by_side, vectors
from benchmark.methods.finetune.trainer import VectorSource


def trainable(backbone: Backbone, method: str) -> Transformer:
    """Refuse what has no weights, or not all of them in memory."""
    if not isinstance(backbone, Transformer):
        raise UserError(
            f"method={method} trains a transformer's weights; "
            f"the backbone {type(backbone).__name__} has none"
        )
    if any(parameter.is_meta for parameter in backbone.module.parameters()):
        raise UserError(
            f"method={method} needs all weights in memory, and model.device_map has put some on "
            "disk; leave it out"
        )
    return backbone


class TrainableBackbone(ABC):
    """A transformer, some weights of which are trained."""

    facts: Mapping[str, Any]

    def __init__(self, backbone: Transformer, readout: Readout, checkpointing: bool) -> None:
        self.backbone = backbone
        self.readout = readout
        self.checkpointing = checkpointing
        proteins = side_by_side(readout)
        self.width = backbone.protein_dim if proteins else backbone.residue_dim
        self.device: torch.device = backbone.device

    @abstractmethod
    def attach(self) -> None:
        """Put what is trained in its place."""

    @abstractmethod
    def detach(self) -> None:
        """Put back what was there."""

    @contextmanager
    def attached(self) -> Iterator[None]:
        """With what is trained in its place, and matrix products in the run's number type."""
        before = {p: p.requires_grad for p in self.backbone.module.parameters()}
        low = self.backbone.dtype == "bfloat16"
        for parameter in before:
            parameter.requires_grad_(False)
        self.attach()
        self.backbone.flop_counter.forget()
        try:
            # without a cache, which would keep low-precision copies of what a step has changed
            with torch.autocast(self.device.type, torch.bfloat16, low, cache_enabled=False):
                yield
        finally:
            self.detach()
            for parameter, asked in before.items():
                parameter.requires_grad_(asked)
            self.backbone.flop_counter.forget()

    @contextmanager
    def source(self, train: Sequence[Chains], valid: Sequence[Chains]) -> Iterator[VectorSource]:
        """Vectors as the weights now make them."""
        check_counts([*train, *valid])
        check_lengths(self.backbone, [chain for chains in (*train, *valid) for chain in chains])

        def rows(chosen: Sequence[int]) -> Tensor:
            chains = [chain for row in chosen for chain in train[row]]
            with ExitStack() as stack:
                if self.checkpointing:
                    stack.enter_context(self.checkpointed())
                if side_by_side(self.readout):
                    return self.backbone.pool(chains).view(len(chosen), -1)
                return self.backbone.residues(chains)

        yield VectorSource(rows, lambda: vectors(self.backbone, self.readout, valid, "valid"))

    @contextmanager
    def checkpointed(self) -> Iterator[None]:
        """Blocks forget what is inside of them, and make it again in the backward pass.

        transformers' own switch works in training mode alone, which turns dropout on.
        """
        blocks: list[Any] = list(self.backbone.blocks().values())
        for block in blocks:
            block.forward = partial(
                checkpoint,
                block.forward,
                use_reentrant=False,
                context_fn=partial(again, self.backbone.module),
            )
        try:
            yield
        finally:
            for block in blocks:
                del block.forward

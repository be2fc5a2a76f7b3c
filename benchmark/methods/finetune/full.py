"""Fine-tuning of all weights."""

from dataclasses import dataclass
from itertools import compress
from pathlib import Path

from safetensors.torch import load_file
from torch import autograd, nn

from benchmark.backbones.layers import restored
from benchmark.backbones.transformer import Transformer
from benchmark.core import RESIDUES, FitContext, Readout
from benchmark.methods.finetune import checkpoints
from benchmark.methods.finetune.trainable import TrainableBackbone, trainable
from benchmark.methods.finetune.trainer import Encoder
from benchmark.methods.finetune.training import Training


@dataclass(frozen=True, kw_only=True)
class Finetune(Training):
    """All weights on which the embeddings depend are trained."""

    VERSION = 2
    gradient_checkpointing: bool

    def encoder(self, context: FitContext) -> Encoder:
        """The backbone with trainable copies of its weights."""
        backbone = trainable(context.backbone, "finetune")
        return Weights(backbone, context.readout, self.gradient_checkpointing)


class Weights(TrainableBackbone):
    """Trained copies of the weights, which replace them while attached."""

    def __init__(self, backbone: Transformer, readout: Readout, checkpointing: bool) -> None:
        super().__init__(backbone, readout, checkpointing)
        module = backbone.module
        self.parameters = dict(compress(module.named_parameters(), reached(backbone)))
        self.own = {name: p.data for name, p in self.parameters.items()}
        self.copies = {name: data.float().clone() for name, data in self.own.items()}

    def attach(self) -> None:
        """Put the copies in place."""
        for name, parameter in self.parameters.items():
            parameter.data = self.copies[name]
            parameter.requires_grad_(True)

    def detach(self) -> None:
        """Restore the original weights."""
        for name, parameter in self.parameters.items():
            parameter.grad = None
            parameter.data = self.own[name]

    def trained(self) -> dict[str, nn.Parameter]:
        """The module's parameters, which hold the copies while attached."""
        return self.parameters

    def save(self, folder: Path) -> None:
        """Write all trained weights, by their names in the module."""
        checkpoints.save_tensors(folder / "weights.safetensors", self.copies)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        for name, value in load_file(folder / "weights.safetensors").items():
            self.copies[name].copy_(value)


def reached(backbone: Transformer) -> list[bool]:
    """Which of the module's parameters the embeddings depend on: no pooler, no head."""
    module = backbone.module
    with restored(module):
        module.requires_grad_(True)
        autograd.backward(backbone.pool([RESIDUES]).sum())
        return [parameter.grad is not None for parameter in module.parameters()]

"""Fine-tuning: low-rank adapters (LoRA: Hu et al. 2022, by peft), or all weights.

Frozen weights stay in the run's number type; what is trained is float32. The backbone's own dropout
stays off. Outside of `attached` the backbone is what its checkpoint made it, bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmark.backbones.packing import again
from benchmark.backbones.transformer import Transformer
from benchmark.core import RESIDUES, Backbone, Chains, Readout, UserError
from benchmark.features import check_counts, check_lengths, side_by_side, vectors
from benchmark.methods import keeping
from benchmark.methods.loop import Body, Source
from benchmark.methods.training import Training, in_range

PREFIX = "base_model.model."
"""What stands before the names of weights in peft's files."""


@dataclass(frozen=True, kw_only=True)
class Lora(Training):
    """Adapters of rank `r` beside linear layers; the switches are peft's own.

    target_modules: all-linear, the linear layers of all blocks below the layer that is read; or
        endings of the names of layers, of which those count that the model has.
    """

    VERSION = 1
    r: int
    lora_alpha: float
    lora_dropout: float
    target_modules: str | Sequence[str]
    use_rslora: bool
    use_dora: bool
    gradient_checkpointing: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.r) is not int or self.r < 1:
            raise UserError(f"method.r={self.r} is not a whole number from 1 on")
        in_range("lora_alpha", self.lora_alpha, above=0)
        in_range("lora_dropout", self.lora_dropout, least=0, below=1)

    def body(self, backbone: Backbone, readout: Readout) -> Body:
        """The backbone with adapters."""
        module = trainable(backbone, "lora")
        targets = linear_layers(module, self.target_modules)
        from peft import LoraConfig

        config = LoraConfig(
            r=self.r,
            lora_alpha=self.lora_alpha,  # type: ignore[arg-type]
            lora_dropout=self.lora_dropout,
            target_modules=list(targets),
            use_rslora=self.use_rslora,
            use_dora=self.use_dora,
            fan_in_fan_out=not any(isinstance(part, nn.Linear) for part in targets.values()),
        )
        return Adapter(module, readout, self.gradient_checkpointing, config)


@dataclass(frozen=True, kw_only=True)
class Finetune(Training):
    """All weights that the vectors depend on."""

    VERSION = 1
    gradient_checkpointing: bool

    def body(self, backbone: Backbone, readout: Readout) -> Body:
        """The backbone, its weights to be replaced."""
        module = trainable(backbone, "finetune")
        return Weights(module, readout, self.gradient_checkpointing)


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


def linear_layers(backbone: Transformer, asked: str | Sequence[str]) -> dict[str, nn.Module]:
    """The layers to adapt, by name."""
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    found: dict[str, nn.Module] = {
        f"{block}.{name}": part
        for block, layer in backbone.blocks().items()
        for name, part in layer.named_modules()
        if isinstance(part, nn.Linear | Conv1D)
    }
    if asked == "all-linear":
        if not found:
            raise UserError(
                "method=lora finds no linear layer below the layer that is read; "
                "leave model.layer out, or use another model"
            )
        return found
    endings = [asked] if isinstance(asked, str) else asked
    chosen = {
        name: part
        for name, part in found.items()
        if any(f".{name}".endswith(f".{ending}") for ending in endings)
    }
    if not chosen:
        names = sorted({name.rpartition(".")[2] for name in found})
        raise UserError(
            f"method.target_modules={asked} names no layer of the model; "
            f"it has {', '.join(names)}, or give all-linear"
        )
    return chosen


class Tuned(ABC):
    """A transformer, some weights of which are trained."""

    facts: Mapping[str, Any]

    def __init__(self, backbone: Transformer, readout: Readout, checkpointing: bool) -> None:
        self.backbone = backbone
        self.readout = readout
        self.checkpointing = checkpointing
        proteins = side_by_side(readout)
        self.width = backbone.protein_dim if proteins else backbone.residue_dim
        self.place: torch.device = backbone.device

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
        self.backbone.meter.forget()
        try:
            # without a cache, which would keep low-precision copies of what a step has changed
            with torch.autocast(self.place.type, torch.bfloat16, low, cache_enabled=False):
                yield
        finally:
            self.detach()
            for parameter, asked in before.items():
                parameter.requires_grad_(asked)
            self.backbone.meter.forget()

    @contextmanager
    def source(self, train: Sequence[Chains], valid: Sequence[Chains]) -> Iterator[Source]:
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

        yield Source(rows, lambda: vectors(self.backbone, self.readout, valid, "valid"))

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


class Adapter(Tuned):
    """LoRA's layers, which take the place of those that they adapt."""

    def __init__(
        self, backbone: Transformer, readout: Readout, checkpointing: bool, config: Any
    ) -> None:
        super().__init__(backbone, readout, checkpointing)
        from peft import inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        self.module = backbone.module
        before = {p: p.requires_grad for p in self.module.parameters()}
        base = sum(p.numel() for p in before)
        inject_adapter_in_model(config, self.module)
        self.config = self.module.peft_config
        self.layers: dict[str, Any] = {
            name: part for name, part in self.module.named_modules() if isinstance(part, LoraLayer)
        }
        for parameter in self.trained().values():
            parameter.data = parameter.data.float()
        self.detach()
        for parameter, asked in before.items():
            parameter.requires_grad_(asked)
        self.total = base + sum(p.numel() for p in self.trained().values())
        self.facts = {"adapted": sorted({name.rpartition(".")[2] for name in self.layers})}

    def attach(self) -> None:
        """Put the adapted layers into the module."""
        for name, layer in self.layers.items():
            self.module.set_submodule(name, layer)
        self.module.peft_config = self.config
        for parameter in self.trained().values():
            parameter.requires_grad_(True)
        self.train(False)

    def detach(self) -> None:
        """Put the layers themselves back."""
        for name, layer in self.layers.items():
            self.module.set_submodule(name, layer.base_layer)
        del self.module.peft_config

    def trained(self) -> dict[str, nn.Parameter]:
        """The adapters' own weights."""
        return {
            f"{name}.{inner}": parameter
            for name, layer in self.layers.items()
            for inner, parameter in layer.named_parameters()
            if not inner.startswith("base_layer.")
        }

    def train(self, mode: bool) -> None:
        """Switch the adapters' dropout."""
        for layer in self.layers.values():
            layer.train(mode)

    def save(self, folder: Path) -> None:
        """As peft's `save_pretrained`: `PeftModel.from_pretrained(base, folder)` reads it."""
        from peft import get_peft_model_state_dict

        (config,) = self.config.values()
        folder.mkdir(parents=True, exist_ok=True)
        config.inference_mode = True
        config.save_pretrained(folder)
        weights = get_peft_model_state_dict(self.module)
        keeping.save_tensors(
            folder / "adapter_model.safetensors", {PREFIX + k: v for k, v in weights.items()}
        )

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        from peft import set_peft_model_state_dict

        found = keeping.load_tensors(folder / "adapter_model.safetensors")
        with self.attached():
            set_peft_model_state_dict(
                self.module, {name.removeprefix(PREFIX): value for name, value in found.items()}
            )


class Weights(Tuned):
    """Trained copies of the module's weights, which take the place of the weights."""

    def __init__(self, backbone: Transformer, readout: Readout, checkpointing: bool) -> None:
        super().__init__(backbone, readout, checkpointing)
        module = backbone.module
        self.total = sum(p.numel() for p in module.parameters())
        self.parameters = dict(compress(module.named_parameters(), reached(backbone)))
        self.own = {name: p.data for name, p in self.parameters.items()}
        self.copies = {name: data.float().clone() for name, data in self.own.items()}
        self.facts = {}

    def attach(self) -> None:
        """Put the copies in."""
        for name, parameter in self.parameters.items():
            parameter.data = self.copies[name]
            parameter.requires_grad_(True)

    def detach(self) -> None:
        """Put the weights back."""
        for name, parameter in self.parameters.items():
            parameter.grad = None
            parameter.data = self.own[name]

    def trained(self) -> dict[str, nn.Parameter]:
        """The module's parameters, which hold the copies while attached."""
        return self.parameters

    def train(self, mode: bool) -> None:
        """The backbone's own dropout stays off."""

    def save(self, folder: Path) -> None:
        """All trained weights, by their names in the module."""
        keeping.save_tensors(folder / "weights.safetensors", self.copies)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        for name, value in keeping.load_tensors(folder / "weights.safetensors").items():
            self.copies[name].copy_(value)


def reached(backbone: Transformer) -> list[bool]:
    """Which of the module's parameters the vectors depend on: no pooler, no head."""
    before = [(p, p.requires_grad) for p in backbone.module.parameters()]
    backbone.module.requires_grad_(True)
    backbone.pool([RESIDUES]).sum().backward()  # type: ignore[no-untyped-call]
    found = [parameter.grad is not None for parameter, _ in before]
    for parameter, asked in before:
        parameter.grad = None
        parameter.requires_grad_(asked)
    return found

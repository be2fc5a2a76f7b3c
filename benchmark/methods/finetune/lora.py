"""Low-rank adapters (LoRA: Hu et al. 2022), with peft."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn

from benchmark.backbones.device import inference
from benchmark.backbones.layers import restored
from benchmark.backbones.transformer import Transformer
from benchmark.core import RESIDUES, FitContext, Readout, UserError
from benchmark.methods.finetune import checkpoints
from benchmark.methods.finetune.trainable import TrainableBackbone, trainable
from benchmark.methods.finetune.trainer import Encoder
from benchmark.methods.finetune.training import Training, in_range

PREFIX = "base_model.model."
"""Prefix of the names of weights in peft's files."""
FUSED = ("out_proj",)
"""Linear layers of Mamba that peft refuses, because fused kernels read their weights."""


@dataclass(frozen=True, kw_only=True)
class Lora(Training):
    """Adapters of rank `r` on linear layers; the settings are peft's own.

    target_modules: all-linear (the linear layers of all blocks up to the embedding layer), or name
        suffixes of layers; those that the model lacks are ignored.
    """

    VERSION = 2
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
            raise UserError(f"method.r={self.r} is not a whole number of at least 1")
        in_range("lora_alpha", self.lora_alpha, above=0)
        in_range("lora_dropout", self.lora_dropout, least=0, below=1)

    def encoder(self, context: FitContext) -> Encoder:
        """The backbone with adapters."""
        backbone = trainable(context.backbone, "lora")
        targets = linear_layers(backbone, self.target_modules)
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
        return Adapter(backbone, context.readout, self.gradient_checkpointing, config)


def linear_layers(backbone: Transformer, targets: str | Sequence[str]) -> dict[str, nn.Module]:
    """The layers to adapt, by name: linear layers of the blocks that run as modules.

    Others, such as those of state-space blocks, only lend their weight to a kernel, and an adapter
    on them would not be trained.
    """
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    spared = FUSED if "mamba" in getattr(backbone.module.config, "model_type", "") else ()
    found: dict[str, nn.Module] = {
        f"{block}.{name}": part
        for block, layer in backbone.blocks().items()
        for name, part in layer.named_modules()
        if isinstance(part, nn.Linear | Conv1D) and not name.endswith(spared)
    }
    used = running(backbone, found.values())
    found = {name: part for name, part in found.items() if part in used}
    if targets == "all-linear":
        if not found:
            raise UserError(
                "method=lora finds no linear layer up to the embedding layer; "
                "leave model.layer out, or use another model"
            )
        return found
    suffixes = tuple(f".{name}" for name in ([targets] if isinstance(targets, str) else targets))
    chosen = {name: part for name, part in found.items() if f".{name}".endswith(suffixes)}
    if not chosen:
        names = sorted({name.rpartition(".")[2] for name in found})
        raise UserError(
            f"method.target_modules={targets} names no layer of the model; "
            f"it has {', '.join(names)}, or give all-linear"
        )
    return chosen


def running(backbone: Transformer, parts: Iterable[nn.Module]) -> set[nn.Module]:
    """Those of the parts that run in a forward pass."""
    ids, mask = backbone.ids([RESIDUES])
    seen = set[nn.Module]()
    with ExitStack() as hooks, inference():
        for part in parts:
            hooks.enter_context(part.register_forward_hook(lambda part, *_: seen.add(part)))
        backbone.module(input_ids=ids, attention_mask=mask)
    return seen


class Adapter(TrainableBackbone):
    """LoRA layers, which replace the layers that they adapt while attached."""

    def __init__(
        self, backbone: Transformer, readout: Readout, checkpointing: bool, config: Any
    ) -> None:
        super().__init__(backbone, readout, checkpointing)
        from peft import inject_adapter_in_model
        from peft.tuners.lora import LoraLayer

        self.module = backbone.module
        base = sum(p.numel() for p in self.module.parameters())
        with restored(self.module):
            try:
                inject_adapter_in_model(config, self.module)
            except ValueError as error:  # layers that peft knows it cannot adapt
                raise UserError(
                    f"peft has no adapter for this model ({error}); name its layers with "
                    "method.target_modules, or use method=finetune"
                ) from None
        self.config = self.module.peft_config
        self.layers: dict[str, Any] = {
            name: part for name, part in self.module.named_modules() if isinstance(part, LoraLayer)
        }
        for parameter in self.trained().values():
            parameter.data = parameter.data.float()
        self.detach()
        self.total = base + sum(p.numel() for p in self.trained().values())
        self.facts = {"adapted": sorted({name.rpartition(".")[2] for name in self.layers})}

    def attach(self) -> None:
        """Insert the adapted layers."""
        for name, layer in self.layers.items():
            self.module.set_submodule(name, layer)
        self.module.peft_config = self.config
        for parameter in self.trained().values():
            parameter.requires_grad_(True)
        self.train(False)

    def detach(self) -> None:
        """Restore the original layers."""
        for name, layer in self.layers.items():
            self.module.set_submodule(name, layer.base_layer)
        del self.module.peft_config

    def trained(self) -> dict[str, nn.Parameter]:
        """The adapters' weights."""
        return {
            f"{name}.{inner}": parameter
            for name, layer in self.layers.items()
            for inner, parameter in layer.named_parameters()
            if not inner.startswith("base_layer.")
        }

    def train(self, mode: bool) -> None:
        """Switch the adapters' dropout on or off."""
        for layer in self.layers.values():
            layer.train(mode)

    def save(self, folder: Path) -> None:
        """Write in peft's format: `PeftModel.from_pretrained(base, folder)` reads it."""
        from peft import get_peft_model_state_dict

        (config,) = self.config.values()
        folder.mkdir(parents=True, exist_ok=True)
        config.inference_mode = True
        config.save_pretrained(folder)
        weights = {PREFIX + k: v for k, v in get_peft_model_state_dict(self.module).items()}
        checkpoints.save_tensors(folder / "adapter_model.safetensors", weights)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        from peft import set_peft_model_state_dict

        found = load_file(folder / "adapter_model.safetensors")
        weights = {name.removeprefix(PREFIX): value for name, value in found.items()}
        with self.attached():
            set_peft_model_state_dict(self.module, weights)

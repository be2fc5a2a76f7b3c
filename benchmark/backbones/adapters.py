"""LoRA adapters in the format of peft, merged into their model."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from benchmark.backbones.adapter_files import adapter_file, settings_of
from benchmark.backbones.leftovers import UNUSED, listed
from benchmark.backbones.tensors import read
from benchmark.core import UserError

PART = re.compile(r"\.(lora_\w+)\b")
"""The part of a tensor's name that says that it belongs to an adapter."""


def merge_folder(base: nn.Module, whole: nn.Module | None, adapter: str) -> None:
    """Add the adapter in a folder to the weights of the model."""
    file = adapter_file(adapter)
    merge(base, whole, read([file]), settings_of(file.parent), f"model.adapter={adapter}")


def split(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The weights of a model into which peft put adapters, and those of the adapters."""
    adapters = {
        re.sub(r"(\.lora_\w+)\.default\b", r"\1", name): value
        for name, value in state.items()
        if PART.search(name)
    }
    weights = {n.replace(".base_layer.", "."): v for n, v in state.items() if not PART.search(n)}
    return weights, adapters


def merge(
    base: nn.Module,
    whole: nn.Module | None,
    tensors: Mapping[str, Tensor],
    settings: Mapping[str, Any],
    name: str,
) -> None:
    """Add adapters to the weights that they adapt, in place; refuse any that have no place."""
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict
    from peft.tuners.lora import LoraLayer

    own = {key.removeprefix("base_model.model."): value for key, value in tensors.items()}
    heads = {key for key in own if not PART.search(key) and key.startswith(UNUSED)}
    own = {key: value for key, value in own.items() if key not in heads}
    if other := [key for key in own if not PART.search(key)]:
        raise UserError(
            f"{name} holds weights beside the adapters ({listed(other)}), which would be lost; "
            "merge it with peft, save the model, and give its folder as model.path"
        )
    front = f"{getattr(base, 'base_model_prefix', '')}."
    inner = {k.removeprefix(front): v for k, v in own.items() if not k.startswith(UNUSED)}
    target, own = next(
        ((m, t) for m, t in ((base, own), (whole, own), (base, inner)) if has_places(m, t)),
        (None, own),
    )
    if target is None:
        raise UserError(
            f"{name} adapts layers that the model does not have ({listed(sorted(own))}); "
            "give the model that it was trained on"
        )
    if any(parameter.is_meta for parameter in base.parameters()):
        raise UserError(f"{name} needs all weights in memory; leave model.device_map out")
    layers = sorted({PART.split(key)[0] for key in own})
    changes = {"modules_to_save": None, "target_modules": layers}
    config, module = LoraConfig(**{**settings, **changes}), target
    trains = {parameter: parameter.requires_grad for parameter in module.parameters()}
    inject_adapter_in_model(config, module, state_dict=own)
    found: Any = set_peft_model_state_dict(module, own)
    lacking = [key for key in found.missing_keys if PART.search(key)]
    if wrong := [*found.unexpected_keys, *lacking]:
        raise UserError(f"{name} is incomplete ({listed(wrong)}); copy it again")
    for key, layer in list(module.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge(safe_merge=True)
            module.set_submodule(key, layer.base_layer)
    del module.peft_config
    for parameter, requires_grad in trains.items():
        parameter.requires_grad_(requires_grad)


def has_places(module: nn.Module | None, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the module has every layer that the tensors adapt."""
    layers = {PART.split(name)[0] for name in tensors}
    names = {name for name, _ in module.named_modules()} if module is not None else set()
    return bool(layers) and layers <= names

"""LoRA adapters in the format of peft: their files, and how they are merged into their model."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmark.backbones.checkpoint import digest_file, refuse_pointers
from benchmark.backbones.layers import restored
from benchmark.backbones.leftovers import UNUSED, listed
from benchmark.backbones.tensors import read
from benchmark.core import UserError
from benchmark.data.digests import digest

CONFIG = "adapter_config.json"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
ORIGIN = {"base_model_name_or_path", "revision", "auto_mapping", "peft_version", "inference_mode"}
"""Settings of peft that do not affect outputs."""
PART = re.compile(r"\.(lora_\w+)\b")
"""The part of a tensor's name that says that it belongs to an adapter."""


def settings_of(folder: Path) -> dict[str, Any]:
    """The settings of an adapter that affect outputs."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind = found["peft_type"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{folder} holds no readable {CONFIG} of peft; give the folder of an adapter that "
            "save_pretrained wrote"
        ) from None
    if kind != "LORA":
        raise UserError(
            f"{folder} holds an adapter of type {kind}; only LORA can be merged, so merge it with "
            "peft, save the model, and give its folder as model.path"
        )
    return {key: value for key, value in found.items() if key not in ORIGIN}


def adapter_file(adapter: str) -> Path:
    """The file with the weights of an adapter."""
    folder = Path(adapter).expanduser()
    if not folder.is_dir():
        raise UserError(f"model.adapter={folder} is not a folder; give an adapter's folder")
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        raise UserError(f"model.adapter={folder} holds no {FILES[0]}; copy it, too")
    refuse_pointers([file])
    return file


def digest_adapter(adapter: str) -> str:
    """Digest of an adapter's weights and settings."""
    file = adapter_file(adapter)
    return digest(json.dumps(settings_of(file.parent), sort_keys=True), digest_file(file))


def refuse_stray(folder: Path, path: str, adapter: str | None) -> None:
    """Refuse a folder that holds an adapter alone, or an adapter that `adapter` does not name."""
    model, settings, weights = (
        any((folder / name).is_file() for name in names)
        for names in (("config.json",), (CONFIG,), FILES)
    )
    if model and weights and adapter is None:
        raise UserError(
            f"model.path={path} holds a model and an adapter; give model.adapter={path}, too, to "
            f"evaluate both, or delete {CONFIG} and {FILES[0]}"
        )
    if model or not (settings or weights):
        return
    base = "the folder or hub id of its model"
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        base = found.get("base_model_name_or_path") or base
    raise UserError(
        f"model.path={path} holds an adapter and no model; give model.path={base} "
        f"model.adapter={path}"
    )


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
    own = {k: v for k, v in own.items() if PART.search(k) or not k.startswith(UNUSED)}  # no heads
    if other := [key for key in own if not PART.search(key)]:
        raise UserError(
            f"{name} holds other weights than adapters ({listed(other)}), which would be lost; "
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
    with restored(module):
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


def has_places(module: nn.Module | None, tensors: Mapping[str, Tensor]) -> bool:
    """Whether the module has every layer that the tensors adapt."""
    layers = {PART.split(name)[0] for name in tensors}
    names = {name for name, _ in module.named_modules()} if module is not None else set()
    return bool(layers) and layers <= names

"""Folders of LoRA adapters in the format of peft, and their digests; torch is not needed."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.backbones.checkpoint import digest_file, digest_folder, refuse_pointers
from benchmark.core import UserError
from benchmark.data.digests import digest

CONFIG = "adapter_config.json"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
ORIGIN = {"base_model_name_or_path", "revision", "auto_mapping", "peft_version", "inference_mode"}
"""Settings of peft that do not affect outputs."""


def digest_content(folder: Path, formats: Sequence[str], adapter: str | None) -> str:
    """Digest of a checkpoint's files, and of the content of an adapter that is merged into it."""
    content = digest_folder(folder, formats)
    return content if adapter is None else digest(content, digest_adapter(adapter))


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
    """Refuse a folder that holds an adapter alone, or an adapter that is not asked for."""
    if adapter is not None or not any((folder / name).is_file() for name in FILES):
        return
    base = "the folder or hub id of its model"
    with suppress(OSError, ValueError, AttributeError):
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        base = found.get("base_model_name_or_path") or base
    if (folder / "config.json").is_file():
        raise UserError(
            f"model.path={path} holds a model and an adapter; give model.adapter={path}, too, to "
            f"evaluate both, or delete {CONFIG} and {FILES[0]}"
        )
    raise UserError(
        f"model.path={path} holds an adapter and no model; give model.path={base} "
        f"model.adapter={path}"
    )

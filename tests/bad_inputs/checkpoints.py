"""Ways to damage a tiny checkpoint of ESM-2."""

import json
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Damage = Callable[[Path], object]
WEIGHTS, BIN, INDEX = "model.safetensors", "pytorch_model.bin", "model.safetensors.index.json"
QUERY = "esm.encoder.layer.0.attention.self.query"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"


def state(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / WEIGHTS)


def save(folder: Path, weights: Mapping[str, Tensor], file: str = WEIGHTS) -> None:
    save_file(dict(weights), folder / file, metadata={"format": "pt"})


def adding(**more: Tensor) -> Damage:
    """Tensors beside the weights; `__` for a dot."""
    named = {name.replace("__", "."): value for name, value in more.items()}
    return lambda folder: save(folder, state(folder) | named)


def renaming(change: Callable[[str], str]) -> Damage:
    return lambda folder: save(folder, {change(name): v for name, v in state(folder).items()})


def without(part: str) -> Damage:
    return lambda f: save(f, {name: v for name, v in state(f).items() if part not in name})


def config(**changes: Any) -> Damage:
    """Other settings in config.json; None removes one."""

    def damage(folder: Path) -> None:
        old = json.loads((folder / "config.json").read_text()) | changes
        changed = {name: value for name, value in old.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(changed))

    return damage


def writing(file: str, content: str | bytes) -> Damage:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / file).write_bytes(data)


def removing(*files: str) -> Damage:
    return lambda folder: [file.unlink() for name in files for file in folder.glob(name)]


def truncated(folder: Path) -> None:
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])


def pickled(content: Callable[[dict[str, Tensor]], Any], file: str = BIN) -> Damage:
    """A file of torch instead of safetensors."""

    def damage(folder: Path) -> None:
        weights = state(folder)
        (folder / WEIGHTS).unlink()
        torch.save(content(weights), folder / file)

    return damage


def sharded(folder: Path) -> None:
    """Two shards and their index instead of one file."""
    weights = state(folder)
    (folder / WEIGHTS).unlink()
    names = sorted(weights)
    places = {}
    for at, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{at}-of-00002.safetensors"
        save(folder, {name: weights[name] for name in part}, file)
        places |= dict.fromkeys(part, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))


def both(*damages: Damage) -> Damage:
    return lambda folder: [damage(folder) for damage in damages]


def moved(folder: Path) -> None:
    """Into a folder of a Trainer, below the one that is named."""
    (folder / "checkpoint-500").mkdir()
    for file in [file for file in folder.iterdir() if file.is_file()]:
        file.rename(folder / "checkpoint-500" / file.name)


def adapter(layer: str = "encoder.layer.0.attention.self.query", **settings: Any) -> Damage:
    """A folder `adapter` beside the weights."""

    def damage(folder: Path) -> None:
        place = folder / "adapter"
        place.mkdir()
        about = {
            "peft_type": "LORA",
            "r": 2,
            "lora_alpha": 4,
            "base_model_name_or_path": "org/base",
        }
        (place / "adapter_config.json").write_text(json.dumps(about | settings))
        parts = {"lora_A": torch.ones(2, 16), "lora_B": torch.ones(16, 2)}
        named = {f"base_model.model.{layer}.{part}.weight": v for part, v in parts.items()}
        save_file(named, place / "adapter_model.safetensors")

    return damage


def adapter_with(damage: Damage, layer: str = "encoder.layer.0.attention.self.query") -> Damage:
    return both(adapter(layer), lambda folder: damage(folder / "adapter"))


def second_tensor(folder: Path) -> None:
    """An adapter's file with a weight of another kind."""
    file = folder / "adapter_model.safetensors"
    more = {"base_model.model.encoder.layer.1.output.dense.weight": torch.ones(16, 32)}
    save_file(load_file(file) | more, file)


def half(folder: Path) -> None:
    """An adapter's file without its second factor."""
    file = folder / "adapter_model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if "lora_B" not in k}, file)


def tokens(change: Callable[[list[str]], list[str]]) -> Damage:
    """Other tokens in a vocabulary file that stands alone."""

    def damage(folder: Path) -> None:
        removing("tokenizer*", "special_tokens_map.json")(folder)
        words = (folder / "vocab.txt").read_text().split()
        (folder / "vocab.txt").write_text("\n".join(change(words)))

    return damage


def objects(weights: dict[str, Tensor]) -> Any:
    return {"model": weights, "args": Namespace(arch="esm2")}

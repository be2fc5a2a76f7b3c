"""Backbones that are opened when a result needs their weights.

What an opened backbone states about itself (`describe`) is stored with the digests of checkpoint
files. The next run with the same settings, files, device, code and libraries reads it there. If all
of its embeddings are stored as well, it imports neither torch nor transformers.
"""

import json
import platform
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from benchmark.backbones.checkpoint import digest_folder, fetch, full_state
from benchmark.core import Ability, Backbone, UserError
from benchmark.data.digests import digest
from benchmark.embedding.database import Database
from benchmark.run.code_digest import declared_version, own_digest
from benchmark.run.environment import may_have_gpu, package_version

ATTRIBUTES = (
    "digest", "dtype", "batch_tokens", "max_length", "linker", "stored", "residue_dim",
    "protein_dim", "limits",
)  # fmt: skip
"""Of `Backbone`: those that a description has."""
BRINGING = ("trust_remote_code", "adapter")
"""Settings by which a model brings code or files that its description does not cover."""
LIBRARIES = (
    "torch", "transformers", "esm", "accelerate", "numpy", "safetensors", "sentencepiece",
    "tokenizers",
)  # fmt: skip
"""A change of their versions, of Python's or of our code opens the model again."""


def open_backbone(
    settings: Mapping[str, Any], make: Callable[[], Backbone], memory: Database | None
) -> Backbone:
    """The model that `make` opens, opened now or, if its description is stored, at first need.

    settings: of the model, with `_target_`. memory: where descriptions are stored; None: nowhere.
    Only models of this package have one, and only without code or files of their own (`BRINGING`).
    """
    ours = str(settings.get("_target_")).startswith("benchmark.backbones.")
    if memory is None or not ours or any(map(settings.get, BRINGING)):
        return make()
    try:
        where = place(str(settings.get("device", "cpu")), str(settings.get("dtype")))
    except UserError:
        return make()  # which refuses this device with its own reasons
    code = [own_digest(), platform.python_version(), *map(package_version, LIBRARIES)]
    key = digest(json.dumps([settings, where, code], sort_keys=True))
    formats = read(memory, f"formats {key}")
    if formats is not None and (known := read(memory, f"facts {key} {content(settings, formats)}")):
        family = {"VERSION": known["version"], "__module__": __name__}
        kind = type(known["class"], (LazyBackbone,), family)  # messages name it, the key has it
        lazy: Backbone = kind(known, make)
        return lazy
    backbone = make()
    if backbone.stored:
        facts = f"facts {key} {getattr(backbone, 'content', '')}"
        formats = list(getattr(backbone, "weights", ()))
        found = {f"formats {key}": formats, facts: describe(backbone)}
        memory.add({name.encode(): json.dumps(value).encode() for name, value in found.items()})
    return backbone


def place(device: str, dtype: str) -> list[str]:
    """Device and dtype; torch is imported only if the machine has a GPU that may be used."""
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return ["cpu", dtype]
    import torch

    from benchmark.backbones.device import resolve

    target, number = resolve(device, dtype)
    card = torch.cuda.get_device_name(target) if target.type == "cuda" else ""
    return [str(target), str(number), card]


def content(settings: Mapping[str, Any], formats: list[str]) -> str:
    """`Pretrained.content` of a checkpoint; empty for a model without files."""
    if not formats:
        return ""
    folder, revision = fetch(settings["path"], settings.get("revision"), formats)
    return full_state(folder, revision, digest_folder(folder, formats))


def read(memory: Database, name: str) -> Any:
    """A stored value; None if it is absent."""
    found = memory.get(name.encode())
    return None if found is None else json.loads(found)


def describe(backbone: Backbone) -> dict[str, Any]:
    """What a backbone states about itself; JSON."""
    return {
        **{name: getattr(backbone, name, None) for name in ATTRIBUTES},
        "device": str(getattr(backbone, "device", "cpu")),
        "class": type(backbone).__name__,
        "version": declared_version(type(backbone)),
        "abilities": sorted(backbone.abilities),
        "facts": dict(backbone.facts()),
        "usage": dict(backbone.usage()),
    }


class LazyBackbone(Backbone):
    """A backbone by its description; it is opened at the first call that needs its weights."""

    def __init__(self, known: Mapping[str, Any], make: Callable[[], Backbone]) -> None:
        self._known, self._make = known, make
        for name in {*ATTRIBUTES, "device"} - {"digest"}:
            if known[name] is not None:  # a width that it lacks
                setattr(self, name, known[name])

    @cached_property
    def opened(self) -> Backbone:
        """The backbone itself."""
        found = self._make()
        if (found.digest, found.dtype) != (self.digest, self.dtype):
            raise UserError("the checkpoint has changed since this run began; run it again")
        self.batch_tokens = found.batch_tokens  # it may depend on the memory that is free
        return found

    def __getattr__(self, name: str) -> Any:
        """What only some backbones have, such as the module of a transformer."""
        if name.startswith("_") or name == "opened":
            raise AttributeError(name)
        return getattr(self.opened, name)

    @property
    def digest(self) -> str:
        """Of its weights and tokenizer."""
        return str(self._known["digest"])

    @property
    def abilities(self) -> frozenset[Ability]:
        """Those of the opened backbone."""
        return frozenset(self._known["abilities"])

    def facts(self) -> Mapping[str, Any]:
        """Those of the opened backbone."""
        return dict(self.opened.facts() if "opened" in vars(self) else self._known["facts"])

    def usage(self) -> Mapping[str, int]:
        """Running totals."""
        return dict(self.opened.usage() if "opened" in vars(self) else self._known["usage"])


def passed_on(name: str) -> Callable[..., Any]:
    """A method that opens the backbone and calls its method of this name."""
    return lambda self, *given, **named: getattr(self.opened, name)(*given, **named)


for _name in set(vars(Backbone)) - set(vars(LazyBackbone)) - {"require"}:
    if callable(getattr(Backbone, _name)) and not _name.startswith("_"):
        setattr(LazyBackbone, _name, passed_on(_name))

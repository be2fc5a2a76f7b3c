"""Backbones on checkpoints: opened by transformers, without any random weight."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import getfile
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmark.backbones.adapters import digest_adapter, merge_folder, refuse_stray
from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.checkpoint import WEIGHTS, digest_folder, fetch, full_state
from benchmark.backbones.device import resolve
from benchmark.backbones.transformer import Objective, Transformer
from benchmark.core import UserError
from benchmark.data.digests import digest


class Opened(NamedTuple):
    """An opened checkpoint: its module, alphabet, and heads."""

    module: torch.nn.Module
    alphabet: Alphabet
    max_length: int | None
    language_model: torch.nn.Module | None
    objective: Objective | None
    contact_head: bool
    unused: Sequence[str] = ()
    """Tensors of the checkpoint without a use, known to be benign; `*` for the layers."""


class Pretrained(Transformer):
    """A checkpoint in Hugging Face's format. Every used weight must come from it.

    facts: published by its authors: parameters, training tokens and FLOPs, licence, source.
    adapter: folder of a LoRA adapter in peft's format, which is merged into the weights.
    settings: of `Transformer`: layer, pooling, batch_tokens.
    """

    weights: Sequence[str] = WEIGHTS
    """Formats of weights; the first that exists is loaded."""

    def __init__(
        self,
        *,
        path: str,
        revision: str | None,
        device_map: str | Mapping[str, Any] | None,
        device: str,
        dtype: str,
        facts: Mapping[str, Any],
        adapter: str | None = None,
        **settings: Any,
    ) -> None:
        target, number = resolve(device, dtype)
        folder, self._revision = fetch(path, revision, self.weights)
        refuse_stray(folder, path, adapter)
        content = digest_folder(folder, self.weights)
        if adapter is not None:
            content = digest(content, digest_adapter(adapter))
        self.content = full_state(folder, self._revision, content)
        with opening(path):
            opened = self.open(folder, path, device_map or target, number)
            if adapter is not None:
                merge_folder(opened.module, opened.language_model, adapter)
            parts = opened._asdict()
            self.unused: Sequence[str] = parts.pop("unused")
            super().__init__(**parts, **settings)
        self._digest = digest(content, repr(opened.alphabet), *own_code(opened))
        self._published = facts

    @abstractmethod
    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Load the folder; `path` is its name in messages.

        device_map: a device, "auto", or a device or "disk" for each part, as in accelerate.
        """

    @property
    def digest(self) -> str:
        """Digest of the folder's weights, tokenizer, configuration and code, and the alphabet."""
        return self._digest

    def facts(self) -> Mapping[str, Any]:
        """Size, shape, the hub's revision, tensors without a use, and the published facts."""
        own = {"revision": self._revision, "published": dict(self._published)}
        return {**super().facts(), **own, "unused_weights": list(self.unused)}


def own_code(opened: Opened) -> Iterator[bytes]:
    """Content of the files of code that the checkpoint brought; they may lie in another folder."""
    from transformers.dynamic_module_utils import get_relative_import_files

    modules = [module for module in (opened.module, opened.language_model) if module is not None]
    parts: list[Any] = [part for module in modules for part in module.modules()]
    parts += [getattr(opened.module, "config", None), getattr(opened.alphabet, "tokenizer", None)]
    kinds = {base for part in parts for base in type(part).__mro__}
    brought = [kind for kind in kinds if kind.__module__.startswith("transformers_modules.")]
    loaded = {getfile(kind) for kind in brought}
    files = {*loaded, *(name for file in loaded for name in get_relative_import_files(file))}
    yield from sorted(Path(file).read_bytes() for file in files)


@contextmanager
def opening(path: str) -> Iterator[None]:
    """Silence transformers, and turn its errors into one sentence."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # damaged files raise many types of errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot open the checkpoint {path}: {reason}") from None
    finally:
        logging.set_verbosity(verbosity)

"""Backbones on checkpoints: opened by transformers, without any random weight."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.checkpoint import WEIGHTS, digest_folder, fetch, full_state
from benchmark.backbones.device import resolve
from benchmark.backbones.transformer import Objective, Transformer
from benchmark.core import UserError
from benchmark.data.digests import digest

HEADS = ("lm_head.", "cls.", "output_layer.")
"""Names of a language model's head, where it is part of the base model."""
UNUSED = ("pooler.", "contact_head.", *HEADS)
"""Parts of a base model that embeddings do not use; a checkpoint may lack them."""

COMPUTED = ("inv_freq", "position_ids")
"""Tables computed from the configuration; some versions of transformers store them."""


class Opened(NamedTuple):
    """An opened checkpoint: its module, alphabet, and heads."""

    module: torch.nn.Module
    alphabet: Alphabet
    max_length: int | None
    language_model: torch.nn.Module | None
    objective: Objective | None
    contact_head: bool


class Pretrained(Transformer):
    """A checkpoint in Hugging Face's format. Every used weight must come from it.

    facts: published by its authors: parameters, training tokens and FLOPs, licence, source.
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
        **settings: Any,
    ) -> None:
        target, number = resolve(device, dtype)
        folder, self._revision = fetch(path, revision, self.weights)
        content = digest_folder(folder, self.weights)
        self.content = full_state(folder, self._revision, content)
        with opening(path):
            opened = self.open(folder, path, device_map or target, number)
        self._digest = digest(content, repr(opened.alphabet))
        self._published = facts
        super().__init__(**opened._asdict(), **settings)

    @abstractmethod
    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Load the folder; `path` is its name in messages.

        device_map: a device, "auto", or a device or "disk" for each part, as in accelerate.
        """

    @property
    def digest(self) -> str:
        """Digest of the folder's weights, tokenizer, configuration, and the alphabet."""
        return self._digest

    def facts(self) -> Mapping[str, Any]:
        """Size, shape, the hub's revision, and the published facts."""
        own = {"revision": self._revision, "published": dict(self._published)}
        return {**super().facts(), **own}


@contextmanager
def opening(path: str) -> Iterator[None]:
    """Silence transformers, and turn its errors into one sentence."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # damaged files raise many types of errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot open the checkpoint {path}: {reason}") from None
    finally:
        logging.set_verbosity(verbosity)


def load(
    kind: Any,
    folder: Path,
    path: str,
    device_map: Any,
    dtype: torch.dtype,
    *,
    constants: tuple[str, ...] | None = None,
    **given: Any,
) -> tuple[torch.nn.Module, torch.nn.Module | None, bool]:
    """Load the folder's weights into a model of transformers'; refuse one that lacks used weights.

    Returns the base, the whole model if the checkpoint has its head, and whether it has the contact
    head. constants: name suffixes of weights that may be left over; if given, all other left
    over weights are refused.
    """
    from transformers import GenerationConfig

    whole, info = kind.from_pretrained(
        folder,
        dtype=dtype,
        device_map=device_map,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported below, by name
        **given,
    )
    whole.config.use_cache = False  # else causal models cache keys and values
    # no penalties and the like from the folder
    whole.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    base = whole.base_model
    prefix = "" if base is whole else f"{whole.base_model_prefix}."
    absent = [*info["missing_keys"], *(name for name, *_ in info["mismatched_keys"])]
    inner = [name.removeprefix(prefix) for name in absent if name.startswith(prefix)]
    lacking = sorted(n for n in inner if not (n.startswith(UNUSED) or n.endswith(COMPUTED)))
    if lacking:
        raise UserError(
            f"{path} lacks {len(lacking)} weights of its own architecture, or has them in another "
            f"size ({lacking[0]}, ...); they would be random, so this checkpoint cannot be "
            "evaluated"
        )
    extra = sorted(name for name in info["unexpected_keys"] if name.startswith(prefix))
    surplus = [] if constants is None else [name for name in extra if not name.endswith(constants)]
    if surplus:
        raise UserError(
            f"{path} has {len(surplus)} weights that its architecture does not use "
            f"({surplus[0]}, ...), so this checkpoint cannot be evaluated"
        )
    complete = len(inner) == len(absent) and not any(name.startswith(HEADS) for name in inner)
    contact = hasattr(base, "contact_head") and not any("contact_head" in name for name in inner)
    return base, whole if complete and base is not whole else None, contact

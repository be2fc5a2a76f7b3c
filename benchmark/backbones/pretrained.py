"""What every backbone on a checkpoint shares: transformers opens it, and no weight is random."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.checkpoint import WEIGHTS, digest_folder, fetch
from benchmark.backbones.device import resolve
from benchmark.backbones.transformer import Objective, Pooling, Transformer
from benchmark.core import UserError
from benchmark.data.digests import digest

HEADS = ("lm_head.", "cls.", "output_layer.")
"""A language model's head, where it is part of the base model."""
UNUSED = ("pooler.", "contact_head.", *HEADS)
"""Parts of a base model that embeddings do not pass through; a checkpoint may lack them."""


COMPUTED = ("inv_freq", "position_ids")
"""Tables that follow from the configuration; some versions of transformers keep them as weights."""


class Opened(NamedTuple):
    """A checkpoint's module, how to feed it, and what it holds besides."""

    module: torch.nn.Module
    alphabet: Alphabet
    max_length: int | None
    language_model: torch.nn.Module | None
    objective: Objective | None
    contact_head: bool


class Weights(NamedTuple):
    """The modules that a checkpoint's weights fill completely."""

    base: torch.nn.Module
    whole: torch.nn.Module | None
    """With the head, if the checkpoint holds it."""
    contact_head: bool


class Pretrained(Transformer):
    """A checkpoint in Hugging Face's format. Every weight that is used must come from it.

    facts: what its authors published: parameters, training tokens and FLOPs, licence, source.
    """

    weights: Sequence[str] = WEIGHTS
    """Formats of weights; the first that is there is loaded."""

    def __init__(
        self,
        *,
        path: str,
        revision: str | None,
        layer: int,
        pooling: Pooling,
        device_map: str | Mapping[str, Any] | None,
        device: str,
        dtype: str,
        batch_tokens: int,
        facts: Mapping[str, Any],
    ) -> None:
        place, number = resolve(device, dtype)
        folder, self._revision = fetch(path, revision, self.weights)
        content = digest_folder(folder, self.weights)
        with opening(path):
            opened = self.open(folder, path, device_map or place, number)
        self._digest = digest(content, repr(opened.alphabet))
        self._published = facts
        super().__init__(
            opened.module,
            opened.alphabet,
            layer=layer,
            pooling=pooling,
            batch_tokens=batch_tokens,
            max_length=opened.max_length,
            language_model=opened.language_model,
            objective=opened.objective,
            contact_head=opened.contact_head,
        )

    @abstractmethod
    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Load what the folder holds; `path` is what the user calls it.

        device_map: a device, "auto", or a device or "disk" for each part, as accelerate has it.
        """

    @property
    def digest(self) -> str:
        """Digest of the folder's weights, tokenizer and configuration, and how letters are read."""
        return self._digest

    def facts(self) -> Mapping[str, Any]:
        """Size, shape, the hub's revision, and what was published."""
        return {
            **super().facts(),
            "revision": self._revision,
            "published": dict(self._published),
        }


@contextmanager
def opening(path: str) -> Iterator[None]:
    """Keep transformers quiet, and make one sentence of whatever it stumbles over."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # broken files fail in many ways, each deep inside a library
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
) -> Weights:
    """Fill a model of transformers' with the folder's weights, in the number type, on the device.

    A checkpoint that lacks weights which embeddings pass through is refused; without its head the
    base alone comes back. `constants` are endings of names that the folder may hold besides; if
    they are given, any other that the base has no place for is refused, too.
    """
    from transformers import GenerationConfig

    whole, info = kind.from_pretrained(
        folder,
        dtype=dtype,
        device_map=device_map,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are told below, by name
        **given,
    )
    whole.config.use_cache = False  # else each forward pass of a causal model keeps keys and values
    # penalties and the like that a folder brings are not what a user asks for
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
            f"{path} holds {len(surplus)} weights that its architecture has no place for "
            f"({surplus[0]}, ...); they would be left out, so this checkpoint cannot be evaluated"
        )
    complete = len(inner) == len(absent) and not any(name.startswith(HEADS) for name in inner)
    contact = hasattr(base, "contact_head") and not any("contact_head" in name for name in inner)
    return Weights(base, whole if complete and base is not whole else None, contact)

"""Any encoder or decoder that `transformers` opens: a hub id with a revision, or a local folder.

python -m benchmark model=huggingface model.path=facebook/esm2_t6_8M_UR50D
python -m benchmark model=huggingface model.path=checkpoints/step-1000
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.checkpoint import digest_folder, fetch
from benchmark.backbones.transformer import Objective, Pooling, Transformer, resolve
from benchmark.core import UserError

if TYPE_CHECKING:
    import torch

UNUSED = ("pooler.", "contact_head.", "lm_head.", "cls.")
"""Parts of a base model that embeddings do not pass through; a checkpoint may lack them."""


class Opened(NamedTuple):
    """A checkpoint's module, and what it holds besides."""

    module: "torch.nn.Module"
    language_model: "torch.nn.Module | None"
    objective: Objective | None
    contact_head: bool


class HuggingFace(Transformer):
    """A checkpoint in Hugging Face's format. Every weight that is used must come from it."""

    def __init__(
        self,
        *,
        path: str,
        revision: str | None,
        layer: int,
        pooling: Pooling,
        trust_remote_code: bool,
        device_map: str | Mapping[str, Any] | None,
        device: str,
        dtype: str,
        batch_tokens: int,
    ) -> None:
        place, number = resolve(device, dtype)
        folder, self._revision = fetch(path, revision)
        self._digest = digest_folder(folder)
        opened = open_checkpoint(folder, path, device_map or place, number, trust_remote_code)
        alphabet = open_alphabet(folder, path, trust_remote_code)
        super().__init__(
            opened.module,
            alphabet,
            layer=layer,
            pooling=pooling,
            batch_tokens=batch_tokens,
            max_length=longest_chain(opened.module, alphabet.special),
            language_model=opened.language_model,
            objective=opened.objective,
            contact_head=opened.contact_head,
        )

    @property
    def digest(self) -> str:
        """Digest of the folder's weights, tokenizer and configuration."""
        return self._digest

    def facts(self) -> Mapping[str, Any]:
        """Size, shape, and the hub's revision."""
        return {**super().facts(), "revision": self._revision}


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


def open_checkpoint(
    folder: Path,
    path: str,
    device_map: "torch.device | str | Mapping[str, Any]",
    dtype: "torch.dtype",
    trust_remote_code: bool,
) -> Opened:
    """Load the module; refuse a checkpoint that leaves a weight of its base untrained.

    device_map: a device, "auto", or a device or "disk" for each part, as accelerate has it.
    """
    from transformers import (
        MODEL_MAPPING,
        AutoConfig,
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForTextEncoding,
    )

    trust = {"trust_remote_code": trust_remote_code}
    with opening(path):
        config = AutoConfig.from_pretrained(folder, **trust)
        if getattr(config, "auto_map", None) and not trust_remote_code:
            raise UserError(
                f"{path} brings its own code; "
                "read it, then allow it with model.trust_remote_code=true"
            )
        objective = objective_of(config)
        auto: Any = {
            "masked": AutoModelForMaskedLM,
            "causal": AutoModelForCausalLM,
            None: AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel,
        }[objective]
        options: dict[str, Any] = {"dtype": dtype, "device_map": device_map, **trust}
        base_class: Any = MODEL_MAPPING.get(type(config), None)
        if objective is None and "add_pooling_layer" in parameters_of(base_class):
            options["add_pooling_layer"] = False  # nothing passes through it
        whole, info = auto.from_pretrained(
            folder, config=config, output_loading_info=True, **options
        )
    base = whole.base_model
    absent = [*info["missing_keys"], *map(str, info.get("mismatched_keys", ()))]
    prefix = "" if base is whole else f"{whole.base_model_prefix}."
    heads = [name for name in absent if not name.startswith(prefix)]
    inner = [name.removeprefix(prefix) for name in absent if name.startswith(prefix)]
    lacking = sorted(name for name in inner if not name.startswith(UNUSED))
    if lacking:
        raise UserError(
            f"{path} lacks {len(lacking)} weights of its own architecture ({lacking[0]}, ...); "
            "they would be random, so this checkpoint cannot be evaluated"
        )
    speaks = base is not whole and not heads
    contact = hasattr(base, "contact_head") and not any("contact_head" in name for name in inner)
    return Opened(base, whole if speaks else None, objective if speaks else None, contact)


def parameters_of(kind: type | None) -> Mapping[str, Any]:
    """Names of the arguments by which an object of this class is made."""
    return {} if kind is None else signature(kind).parameters


def objective_of(config: Any) -> Objective | None:
    """What a checkpoint of this configuration was trained on, by its architecture's name."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    if config.is_encoder_decoder:
        return None
    names = tuple(config.architectures or ())
    auto = getattr(config, "auto_map", None) or {}
    can_mask = type(config) in MODEL_FOR_MASKED_LM_MAPPING or "AutoModelForMaskedLM" in auto
    can_cause = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or "AutoModelForCausalLM" in auto
    causal = getattr(config, "is_decoder", False) or any(
        n.endswith(("ForCausalLM", "LMHeadModel")) for n in names
    )
    if can_cause and (causal or not can_mask):
        return "causal"
    return "masked" if can_mask else None


def open_alphabet(folder: Path, path: str, trust_remote_code: bool) -> Alphabet:
    """Read the tokenizer; a folder with nothing but vocab.txt is read token by token."""
    from transformers import AutoTokenizer

    vocabulary = folder / "vocab.txt"
    if vocabulary.is_file() and not any(folder.glob("tokenizer*")):
        return Alphabet.of_tokens(vocabulary.read_text(encoding="utf-8").split())
    with opening(path):
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    return Alphabet.of_tokenizer(tokenizer)


def longest_chain(module: "torch.nn.Module", special: int) -> int | None:
    """Residues that fit in a table of learned positions; None if they are rotary or relative."""
    import torch

    names = ("position_embeddings", "embed_positions", "wpe")
    for name, part in module.named_modules():
        if name.endswith(names) and isinstance(part, torch.nn.Embedding):
            # RoBERTa and its kin count positions from after the padding index
            offset = 0 if part.padding_idx is None else part.padding_idx + 1
            return part.num_embeddings - offset - special
    return None

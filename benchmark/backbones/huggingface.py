"""Any encoder or decoder that `transformers` opens: a hub id with a revision, or a local folder.

python -m benchmark model=huggingface model.path=facebook/esm2_t6_8M_UR50D
python -m benchmark model=huggingface model.path=checkpoints/step-1000
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.backbones.transformer import Alphabet, Pooling, Transformer, resolve
from benchmark.core import UserError

if TYPE_CHECKING:
    import torch

WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""Formats of weights; the first that is there is loaded."""
OTHER = (
    "config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "*vocab*",
    "merges.txt",
    "*.model",
    "*.py",
)
"""What else decides outputs; a trainer's logs and states in the same folder do not."""
INDEX = ("*.index.json",)
UNUSED = ("pooler.", "contact_head.", "lm_head.", "cls.")
"""Heads that embeddings do not pass through; a checkpoint may lack them."""


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
        device: str,
        dtype: str,
        batch_tokens: int,
    ) -> None:
        place, number = resolve(device, dtype)
        folder, self._revision = fetch(path, revision)
        self._digest = digest_folder(folder)
        module, tokenizer = open_checkpoint(folder, path, number, trust_remote_code)
        alphabet = Alphabet.of_tokenizer(tokenizer)
        super().__init__(
            module.to(place),
            alphabet,
            layer=layer,
            pooling=pooling,
            batch_tokens=batch_tokens,
            max_length=longest_chain(module, len(alphabet.prefix + alphabet.suffix)),
        )

    @property
    def digest(self) -> str:
        """Digest of the folder's weights, tokenizer and configuration."""
        return self._digest

    def facts(self) -> Mapping[str, Any]:
        """Size, shape, and the hub's revision."""
        return {**super().facts(), "revision": self._revision}


def fetch(path: str, revision: str | None) -> tuple[Path, str | None]:
    """The checkpoint's folder, downloaded if `path` is a hub id, and the resolved revision."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder, None
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise UserError(f"model.path={path} is no folder here, and no hub id of the form org/name")
    from huggingface_hub import snapshot_download

    try:
        for weights in WEIGHTS:  # a hub repository may hold the same weights in both formats
            patterns = [*OTHER, *INDEX, weights]
            folder = Path(snapshot_download(path, revision=revision, allow_patterns=patterns))
            if any(folder.glob(weights)):
                break
    except Exception as error:  # the network stack below raises many unrelated types
        raise UserError(
            f"model.path={path} is no folder here, and cannot be had from the hub "
            f"({type(error).__name__}); correct it, connect to the network, or download it "
            "elsewhere and give its folder"
        ) from None
    return folder, folder.name


def digest_folder(folder: Path) -> str:
    """Digest of the names and content of every file that decides what the model computes."""
    weights = next((found for name in WEIGHTS if (found := list(folder.glob(name)))), None)
    if not weights:
        raise UserError(
            f"{folder} holds no weights ({' or '.join(WEIGHTS)}); give the folder of a checkpoint"
        )
    files = sorted({*weights, *(file for name in OTHER for file in folder.glob(name))})
    state = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            state.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return state.hexdigest()[:16]


def open_checkpoint(
    folder: Path, path: str, dtype: "torch.dtype", trust_remote_code: bool
) -> tuple["torch.nn.Module", Any]:
    """Load module and tokenizer; refuse a checkpoint that leaves a used weight untrained."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, AutoTokenizer
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        trust = {"trust_remote_code": trust_remote_code}
        config = AutoConfig.from_pretrained(folder, **trust)
        if getattr(config, "auto_map", None) and not trust_remote_code:
            raise UserError(
                f"{path} brings its own code; "
                "read it, then allow it with model.trust_remote_code=true"
            )
        auto = AutoModelForTextEncoding if config.is_encoder_decoder else AutoModel
        module, info = auto.from_pretrained(
            folder, config=config, dtype=dtype, output_loading_info=True, **trust
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **trust)
    except UserError:
        raise
    except Exception as error:  # broken files fail in many ways, each deep inside a library
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"cannot open the checkpoint {path}: {reason}") from None
    finally:
        logging.set_verbosity(verbosity)
    absent = sorted(
        name
        for name in {*info["missing_keys"], *map(str, info.get("mismatched_keys", ()))}
        if not name.startswith(UNUSED)
    )
    if absent:
        raise UserError(
            f"{path} lacks {len(absent)} weights of its own architecture ({absent[0]}, ...); "
            "they would be random, so this checkpoint cannot be evaluated"
        )
    return module, tokenizer


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

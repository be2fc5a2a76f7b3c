"""A checkpoint's folder: got from the hub or found here, and told by its content."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from benchmark.core import UserError

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


def fetch(
    path: str, revision: str | None, formats: Sequence[str] = WEIGHTS
) -> tuple[Path, str | None]:
    """The checkpoint's folder, downloaded if `path` is a hub id, and the resolved revision."""
    folder = Path(path).expanduser()
    if folder.is_dir():
        return folder, None
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise UserError(f"model.path={path} is no folder here, and no hub id of the form org/name")
    from huggingface_hub import snapshot_download

    try:
        for weights in formats:  # a hub repository may hold the same weights in both formats
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


def digest_folder(folder: Path, formats: Sequence[str] = WEIGHTS) -> str:
    """Digest of the names and content of every file that decides what the model computes."""
    weights = next((found for name in formats if (found := list(folder.glob(name)))), None)
    if not weights:
        raise UserError(
            f"{folder} holds no weights ({' or '.join(formats)}); give the folder of a checkpoint"
        )
    files = sorted({*weights, *(file for name in OTHER for file in folder.glob(name))})
    state = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            state.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
    return state.hexdigest()[:16]

"""Folders of checkpoints: local or from the hub, and their digests."""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from benchmark.core import UserError
from benchmark.embedding.database import Database
from benchmark.pocket import FOLDER

WEIGHTS = ("model*.safetensors", "pytorch_model*.bin", "*.ckpt")
"""Formats of weights; the first that is there is loaded."""
OTHER = (
    "config.json",
    "adapter_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "*vocab*",
    "merges.txt",
    "*.model",
    "*.py",
)
"""Other files that affect outputs, unlike a trainer's logs and states in the same folder."""
INDEX = ("*.index.json",)
FOREIGN = ("*.h5", "*.msgpack", "*.gguf", "*.pt", "*.pth", "*.onnx")
"""Weights in formats that are not loaded."""
POINTER = b"version https://git-lfs"
POCKET = FOLDER / "checkpoints"
SETTLED = 5.0
"""Seconds without a change before a file's digest is stored: a change within one tick of the file
system's clock, at most two seconds, would go unnoticed."""


remembered: ContextVar[Database | None] = ContextVar("remembered", default=None)
"""Persistent digests of files, by their state in the file system;
a run sets it before it opens its backbone."""


def fetch(
    path: str, revision: str | None, formats: Sequence[str] = WEIGHTS
) -> tuple[Path, str | None]:
    """The checkpoint's folder, downloaded if `path` is a hub id, and the resolved revision.

    `package:NAME` is a checkpoint inside this package.
    """
    own = path.removeprefix("package:")
    folder = POCKET / own if own != path else Path(path).expanduser()
    if folder.is_dir():
        return folder, None
    if folder.is_file():
        raise UserError(
            f"model.path={path} is a file; give a folder with config.json, weights and tokenizer, "
            "as save_pretrained writes it (for a .pt of fair-esm, transformers' "
            "convert_esm.py makes one)"
        )
    if path.count("/") != 1 or path.startswith((".", "/", "~")):
        raise UserError(f"model.path={path} is neither a folder nor a hub id of the form org/name")
    from huggingface_hub import snapshot_download

    try:
        for weights in formats:  # a hub repository may hold the same weights in both formats
            patterns = [*OTHER, *INDEX, weights]
            folder = Path(snapshot_download(path, revision=revision, allow_patterns=patterns))
            if any(folder.glob(weights)):
                break
    except Exception as error:  # the network stack below raises many unrelated types
        raise UserError(
            f"model.path={path} is not a folder, and the download from the hub failed "
            f"({type(error).__name__}); correct it, connect to the network, or download it "
            "elsewhere and give its folder"
        ) from None
    return folder, folder.name


def digest_folder(folder: Path, formats: Sequence[str] = WEIGHTS) -> str:
    """Digest of the names and content of every file that affects outputs."""
    weights = next((found for name in formats if (found := list(folder.glob(name)))), None)
    if not weights:
        below = sorted(file.parent.name for name in formats for file in folder.glob(f"*/{name}"))
        other = sorted(file.name for name in FOREIGN for file in folder.glob(name))
        remedy = "give the folder of a checkpoint"
        if other:
            remedy = f"{other[0]} is of another format: convert it with transformers"
            if other[0].endswith((".pt", ".pth")):
                remedy += ", or, if it is a state dict, call it pytorch_model.bin"
        if below:
            remedy = f"give its folder {below[-1]}"
        raise UserError(f"{folder} holds no weights ({' or '.join(formats)}); {remedy}")
    files = sorted({*weights, *(file for name in OTHER for file in folder.glob(name))})
    refuse_pointers(files)
    state = hashlib.sha256()
    for file in files:
        state.update(file.name.encode() + digest_file(file))
    return state.hexdigest()[:16]


def full_state(folder: Path, revision: str | None, content: str) -> str:
    """A digest of content with the revision and all names: a further file may make it invalid."""
    return f"{content} {revision} {sorted(file.name for file in folder.iterdir())}"


def read_config(folder: Path) -> dict[str, Any]:
    """The content of `config.json`."""
    file = folder / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no config.json; copy it from its model's source") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UserError(f"{file} is not JSON of settings; copy it again") from None
    return found


def refuse_pointers(files: Iterable[Path]) -> None:
    """Refuse pointers of Git LFS, which stand for files that were not downloaded."""
    if file := next(filter(is_pointer, files), None):
        raise UserError(
            f"{file} is a Git LFS pointer, not the file itself; run git lfs pull in its "
            "repository, or download it again"
        )


def is_pointer(file: Path) -> bool:
    """Whether a file is a pointer of Git LFS."""
    with file.open("rb") as stream:
        return stream.read(len(POINTER)) == POINTER


def digest_file(file: Path) -> bytes:
    """Digest of a file's content, which is read once, and again after a change.

    A change shows in the state of the file: a program can reset the modification time, but not the
    time of the last status change (ctime).
    """
    memory = remembered.get()
    with file.open("rb") as stream:
        state = os.fstat(stream.fileno())
        key = state_key(file, state)
        if memory and (known := memory.get(key)):
            return bytes(known)
        quiet = time.time() - max(state.st_mtime, state.st_ctime)
        content = hashlib.file_digest(stream, "sha256").digest()
        same = state_key(file, os.fstat(stream.fileno())) == key
        if memory and same and quiet > SETTLED:
            memory.add({key: content})
    return content


def state_key(file: Path, state: os.stat_result) -> bytes:
    """Digest of a file's path and state."""
    parts = state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
    return hashlib.sha256(repr((str(file.resolve()), *parts)).encode()).digest()

"""Files of weights and the tensors in them, before a module exists."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from benchmark.backbones.checkpoint import is_pointer
from benchmark.core import UserError

SHARD = re.compile(r"-\d+-of-\d+\.\w+$")
INSIDE = re.compile(r"(?:^|(?<=\.))(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and activation checkpointing add anywhere in a name."""
OUTSIDE = ("module.", "_forward_module.", "base_model.model.", "model.", "net.", "backbone.")
"""What DataParallel, DeepSpeed, peft and modules of Lightning add in front of every name."""


def weight_files(folder: Path, formats: Sequence[str]) -> list[Path]:
    """The files that hold the weights; refuses two sets of weights, and shards that do not fit."""
    sets = [sorted(found) for pattern in formats if (found := list(folder.glob(pattern)))]
    chosen = one_set(folder, sets[0])
    for files in sets[1:]:
        if not any(map(is_pointer, files)):
            compare(chosen, one_set(folder, files))
    return chosen


def one_set(folder: Path, files: Sequence[Path]) -> list[Path]:
    """One format's files that make one set of weights: a single file, or shards with an index."""
    shards = [file for file in files if SHARD.search(file.name)]
    plain = {"model.safetensors", "pytorch_model.bin"}
    single = [f for f in files if f.name in plain or f.suffix == ".ckpt"]
    indices = [folder / f"{name}.index.json" for name in sorted(plain)]
    index = next((i for i in indices if i.is_file() and i.name[:5] == files[0].name[:5]), None)
    if len(single) > 1 or (single and (shards or index)):
        others = [*single[1:], *shards, *filter(None, [index])]
        raise UserError(
            f"{folder} holds two sets of weights, {single[0].name} and {others[0].name}; "
            "delete the one that is not meant"
        )
    if single:
        return single
    if not shards:
        raise UserError(
            f"{folder} holds {files[0].name}, and weights are loaded from "
            f"{' or '.join(sorted(plain))} alone; rename it if it is meant"
        )
    if index is None:
        raise UserError(
            f"{folder} holds shards of weights ({shards[0].name}, ...) without their index "
            "(model.safetensors.index.json or pytorch_model.bin.index.json); copy it, too"
        )
    places: Mapping[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    named = set(places.values())
    if absent := sorted(named - {file.name for file in shards}):
        raise UserError(f"{index} names {absent[0]}, which is not there; copy all shards")
    if spare := [file.name for file in shards if file.name not in named]:
        raise UserError(
            f"{folder} holds two sets of weights: {index.name} does not name {spare[0]}; "
            "delete the files that are not meant"
        )
    held = {name: file.name for file in shards for name in tensor_names(file)}
    if stale := sorted(set(places.items()) ^ set(held.items())):
        raise UserError(
            f"{index} does not fit its shards ({stale[0][0]}, ...), so it belongs to other "
            "weights; copy the index and the shards of one checkpoint"
        )
    return shards


def compare(files: Sequence[Path], others: Sequence[Path]) -> None:
    """Refuse a folder whose two formats hold different weights."""
    ours, theirs = read(files), read(others)
    for name in sorted(ours.keys() & theirs.keys()):
        one, other = ours[name], theirs[name]
        low = min(one.dtype, other.dtype, key=lambda dtype: dtype.itemsize)
        if one.shape != other.shape or not torch.equal(one.to(low), other.to(low)):
            raise UserError(
                f"{files[0].parent} holds two sets of weights, and {name} differs between "
                f"{files[0].name} and {others[0].name}; delete the one that is not meant"
            )


def tensor_names(file: Path) -> dict[str, str]:
    """Names of the tensors of a file, and their dtypes."""
    if file.suffix != ".safetensors":
        return {name: str(value.dtype) for name, value in read_pickle(file)[0].items()}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), "pt") as opened:
            names = opened.keys()  # it cannot be iterated itself
            return {name: opened.get_slice(name).get_dtype() for name in names}
    except SafetensorError as error:
        raise damaged(file, str(error)) from None


def read(files: Iterable[Path]) -> dict[str, Tensor]:
    """All tensors of files."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    state: dict[str, Tensor] = {}
    for file in files:
        try:
            state |= load_file(file) if file.suffix == ".safetensors" else read_pickle(file)[0]
        except SafetensorError as error:
            raise damaged(file, str(error)) from None
    return state


def damaged(file: Path, reason: str) -> UserError:
    """The error for a file that cannot be read."""
    return UserError(f"{file} is damaged or incomplete ({reason}); copy it again")


def read_pickle(file: Path) -> tuple[Mapping[str, Tensor], bool]:
    """The weights in a file of torch, and whether they lie inside a dict with other entries.

    A file with Python objects is refused, because unpickling them can run any code.
    """
    settings: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    try:
        try:
            found = torch.load(file, mmap=True, **settings)
        except RuntimeError:  # the format of torch before 1.6 cannot be mapped
            found = torch.load(file, **settings)
    except (UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, TypeError) as error:
        if named := re.search(r"GLOBAL (\S+)", str(error)):
            raise UserError(
                f"{file} holds Python objects ({named[1]}), which can run any code, so it is not "
                "opened; save the weights alone, with save_pretrained"
            ) from None
        raise damaged(file, "not a file of torch") from None
    sets = {"": found, **found} if isinstance(found, Mapping) else {}
    weights = {key: found for key, part in sets.items() if (found := tensors(part))}
    if len(weights) != 1:
        inside = f"several sets of weights ({', '.join(weights)})" if weights else "no weights"
        raise UserError(f"{file} holds {inside}; save the weights that are meant alone")
    ((key, state),) = weights.items()
    return state, key != ""


def tensors(part: Any) -> dict[str, Tensor]:
    """The named tensors of a dict, if it is one."""
    items = part.items() if isinstance(part, Mapping) else ()
    return {k: v for k, v in items if isinstance(k, str) and isinstance(v, Tensor)}


def without_wrappers(names: Iterable[str], own: Callable[[], set[str]]) -> dict[str, str]:
    """Each name without what training frameworks add to it.

    own: gives the first parts of the names that the architecture has, which stay.
    """
    short = {name: INSIDE.sub("", name) for name in names}
    for prefix in OUTSIDE * 2:  # they may be nested
        if short and all(value.startswith(prefix) for value in short.values()):
            rest = {name: value.removeprefix(prefix) for name, value in short.items()}
            known = own()
            if prefix[:-1] not in known or known & {v.partition(".")[0] for v in rest.values()}:
                short = rest
    return short

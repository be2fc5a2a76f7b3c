"""Loads the weights of a checkpoint into a model of transformers'; each has a use, or a reason."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmark.backbones.adapters import CONFIG, PART, merge, settings_of, split
from benchmark.backbones.checkpoint import WEIGHTS
from benchmark.backbones.leftovers import (
    COMPUTED,
    HEADS,
    UNUSED,
    collapsed,
    is_benign,
    listed,
    refuse_quantised,
    surplus,
)
from benchmark.backbones.tensors import (
    read,
    read_pickle,
    tensor_names,
    weight_files,
    without_wrappers,
)
from benchmark.core import UserError


def load(
    kind: Any,
    folder: Path,
    path: str,
    device_map: Any,
    dtype: torch.dtype,
    *,
    config: Any,
    **given: Any,
) -> tuple[torch.nn.Module, torch.nn.Module | None, bool, list[str]]:
    """Load the folder's weights into a model of transformers'.

    Returns the base, the whole model if the checkpoint has its head, whether it has the contact
    head, and the benign weights without a use. Refuses a checkpoint that lacks used weights, or has
    others that would be ignored.
    """
    from transformers import GenerationConfig

    files = weight_files(folder, WEIGHTS)
    dtypes = {name: kind for file in files for name, kind in tensor_names(file).items()}
    refuse_quantised(config, dtypes)
    names = without_wrappers(dtypes, lambda: first_names(kind, config, given))
    source: dict[str, Any] = {"pretrained_model_name_or_path": folder}
    adapters: Mapping[str, torch.Tensor] = {}
    if list(names) != list(names.values()) or needs_reading(folder, files, names):
        state, adapters = split({names[name]: value for name, value in read(files).items()})
        source = {"pretrained_model_name_or_path": None, "state_dict": state}
        kind = getattr(kind, "_model_mapping", {}).get(type(config), kind)
    whole, info = kind.from_pretrained(
        **source,
        config=config,
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
    front = f"{whole.base_model_prefix}."
    prefix = "" if base is whole else front
    absent = info["missing_keys"]
    inner = [name.removeprefix(prefix) for name in absent if name.startswith(prefix)]
    lacking = sorted(n for n in inner if not (n.startswith(UNUSED) or n.endswith(COMPUTED)))
    if lacking:
        raise UserError(
            f"{path} lacks {len(lacking)} weights of its own architecture ({lacking[0]}, ...), "
            f"which would be random, and holds {listed(sorted(dtypes))}; save it whole, under the "
            "names that transformers gives them"
        )
    extra = {name.removeprefix(front) for name in info["unexpected_keys"]}
    if wrong := sorted(name for name in extra if not is_benign(name)):
        raise surplus(path, wrong, getattr(config, "num_hidden_layers", None))
    if mismatched := sorted(info["mismatched_keys"]):
        name, ours, needed = mismatched[0]
        raise UserError(
            f"{path} has {len(mismatched)} weights in another size than config.json says ({name}: "
            f"{tuple(ours)} instead of {tuple(needed)}); copy the config.json of these weights"
        )
    if adapters:
        if not (folder / CONFIG).is_file():
            raise UserError(
                f"{path} holds adapters among its weights ({listed(sorted(adapters))}), and no "
                f"{CONFIG} says their scaling; merge them with peft (merge_and_unload) and save "
                f"the model, or copy their {CONFIG}"
            )
        merge(base, whole, adapters, settings_of(folder), path)
    complete = len(inner) == len(absent) and not any(name.startswith(HEADS) for name in inner)
    contact = hasattr(base, "contact_head") and not any("contact_head" in name for name in inner)
    unused = collapsed(extra | ignored(whole, front, names.values()))
    return base, whole if complete and base is not whole else None, contact, unused


def first_names(kind: Any, config: Any, given: Mapping[str, Any]) -> set[str]:
    """First parts of the names of the weights that an architecture has."""
    with torch.device("meta"):
        if hasattr(kind, "from_config"):
            trust = {key: given[key] for key in ("trust_remote_code",) if key in given}
            module = kind.from_config(config, **trust)
        else:
            module = kind(config)
    return {name.partition(".")[0] for name in module.state_dict()}


def needs_reading(folder: Path, files: Sequence[Path], names: Mapping[str, str]) -> bool:
    """Whether transformers would not read these weights, or would read them differently."""
    return (
        (folder / CONFIG).is_file()
        or any(PART.search(name) or ".base_layer." in name for name in names)
        or any(file.suffix == ".ckpt" for file in files)
        or any(file.suffix == ".bin" and read_pickle(file)[1] for file in files)
    )


def ignored(whole: Any, front: str, names: Iterable[str]) -> set[str]:
    """Weights that transformers itself knows to be unused in an architecture."""
    patterns = getattr(whole, "_keys_to_ignore_on_load_unexpected", None) or ()
    own = {name.removeprefix(front) for name in whole.state_dict()}
    short = {name.removeprefix(front) for name in names}
    known = {name for name in short if any(re.search(pattern, name) for pattern in patterns)}
    return (known | set(filter(is_benign, short))) - own

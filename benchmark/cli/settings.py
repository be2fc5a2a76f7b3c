"""Settings of a run that Hydra lets through and we do not."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.cli.compose import words_of
from benchmark.core import UserError
from benchmark.run.environment import may_have_gpu

NAME = r"(?!\.+$)[\w.+=@-]+"
"""What the name of a model may be."""
LARGEST_SEED = 2**32 - 1
"""Of scikit-learn."""
DEVICES = r"auto|cpu|mps|(cuda|xpu)(:\d+)?"
ALLOWED = {"dtype": ("auto", "float32", "bfloat16"), "model.pooling": ("mean", "start", "last")}
LAYERS = ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
"""Names of the number of layers in a checkpoint's config.json."""


def check_settings(config: dict[str, Any]) -> None:
    """Refuse settings of a run that Hydra lets through, all at once, and expand ~ in folders."""
    if config["store"] is False:  # what "off" is in a yaml file
        config["store"] = "off"
    if found := list(mistakes(config)):
        raise UserError("; and ".join(found))
    for name in ("results", "mirror", "store"):
        if config[name]:
            config[name] = str(Path(config[name]).expanduser())


def mistakes(config: dict[str, Any]) -> Iterator[str]:
    """A clause for each setting that is not allowed."""
    try:
        json.dumps(config, allow_nan=False)
    except ValueError:
        yield "a setting is inf or nan; give finite numbers, or null"
    path = config["model"].get("path")
    if path is not None and not isinstance(path, str):
        yield not_allowed("model.path", path, f"give a hub id or a folder, as ./{path}")
    for name, lowest in {"limit": 1, "batch_tokens": 1, "seed": 0}.items():
        value = config[name]
        words = {"limit": (None,), "batch_tokens": ("auto",)}.get(name, ())
        if not ((type(value) is int and value >= lowest) or value in words):
            auto = ", or auto" if "auto" in words else ""
            yield not_allowed(name, value, f"give a whole number from {lowest} on{auto}")
    if type(config["seed"]) is int and config["seed"] > LARGEST_SEED:
        yield not_allowed("seed", config["seed"], f"{LARGEST_SEED} is the largest")
    if (seeds := config["seeds"]) is not None:
        given = seeds if isinstance(seeds, list) else []
        whole = all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in given)
        if not whole or not given or len(set(given)) < len(given):
            text = ",".join(map(str, seeds)) if isinstance(seeds, list) else seeds
            hint = "give whole numbers from 0 on, each once, as in seeds=0,1,2"
            yield not_allowed("seeds", text, hint)
    if config["name"] is not None and not re.fullmatch(NAME, str(config["name"])):
        yield not_allowed("name", config["name"], "give letters, digits and any of . _ + = @ -")
    if not isinstance(config["rerun"], bool):
        yield not_allowed("rerun", config["rerun"], "give true or false")
    if type(config["store_gb"]) not in (int, float) or config["store_gb"] < 0:
        yield not_allowed("store_gb", config["store_gb"], "give a number of gigabytes, 0 or more")
    for name in ("results", "mirror", "store"):
        value = config[name]
        if not (isinstance(value, str) and value) and (value is not None or name == "results"):
            yield not_allowed(name, value, "give a folder")
    yield from mistakes_of_the_model(config)


def mistakes_of_the_model(config: dict[str, Any]) -> Iterator[str]:
    """Of dtype, device, layer and pooling, which a model would refuse after it is loaded."""
    model = config["model"]
    given = {"dtype": config["dtype"]}
    if str(model.get("_target_")).startswith("benchmark."):
        given |= {"model.pooling": model["pooling"]} if "pooling" in model else {}
        layer, layers = model.get("layer", -1), layers_of(model.get("path"))
        if type(layer) is not int or (layers is not None and not -layers - 1 <= layer <= layers):
            most = "the number of layers" if layers is None else layers
            yield not_allowed("model.layer", layer, f"give 0 to {most}, or -1 for the last")
    for name, value in given.items():
        if value not in ALLOWED[name]:
            yield f"{name}={value} is not known; allowed are {', '.join(ALLOWED[name])}"
    if not re.fullmatch(DEVICES, str(config["device"])):
        yield f"device={config['device']} is not known; allowed are auto, cpu, cuda, and cuda:1"
    elif config["device"].startswith("cuda") and not may_have_gpu():
        yield (
            f"device={config['device']} is not available; use device=cpu, or cuda on a machine "
            "with a GPU"
        )


def layers_of(path: object) -> int | None:
    """The number of layers of a checkpoint in a local folder, if its config.json says so."""
    file = Path(str(path)).expanduser() / "config.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return next((found[name] for name in LAYERS if type(found.get(name)) is int), None)
    except (OSError, ValueError, AttributeError):
        return None


def not_allowed(name: str, value: object, hint: str) -> str:
    """The clause for a value of a setting."""
    return f"{name}={value} is not allowed; {hint}"


def model_name(hydra: Any, config: dict[str, Any]) -> str:
    """A model's name in the tables: its yaml's, or that of the model.path of the command line.

    The name of an adapter follows, after a plus sign.
    """
    path, adapter = (config["model"].get(name) for name in ("path", "adapter"))
    given = any(word.startswith("model.path=") for word in words_of(hydra))
    name = folder_name(path) if path and given else str(hydra.runtime.choices["model"])
    return f"{name}+{folder_name(adapter)}" if adapter else name


def folder_name(path: str) -> str:
    """The last part of a path, as a part of a model's name."""
    # a link keeps its own name, so this is not Path.resolve
    name = Path(os.path.abspath(Path(path).expanduser())).name  # noqa: PTH100
    return re.sub(r"[^\w.+=@-]", "_", name) or "model"

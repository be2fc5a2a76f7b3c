"""Settings of a run that Hydra lets through and we do not."""

import json
import os
import re
from pathlib import Path
from typing import Any

from benchmark.core import UserError

NAME = r"(?!\.+$)[\w.+=@-]+"
"""What the name of a model may be."""
LARGEST_SEED = 2**32 - 1
"""Of scikit-learn."""


def check_settings(config: dict[str, Any]) -> None:
    """Refuse settings of a run that Hydra lets through."""
    try:
        json.dumps(config, allow_nan=False)
    except ValueError:
        raise UserError("a setting is inf or nan; give finite numbers, or null") from None
    path = config["model"].get("path")
    if path is not None and not isinstance(path, str):
        raise not_allowed("model.path", path, f"give a hub id or a folder, as ./{path}")
    for name, lowest in {"limit": 1, "batch_tokens": 1, "seed": 0}.items():
        value = config[name]
        words = {"limit": (None,), "batch_tokens": ("auto",)}.get(name, ())
        if not ((type(value) is int and value >= lowest) or value in words):
            auto = ", or auto" if "auto" in words else ""
            raise not_allowed(name, value, f"give a whole number from {lowest} on{auto}")
    if config["seed"] > LARGEST_SEED:
        raise not_allowed("seed", config["seed"], f"{LARGEST_SEED} is the largest")
    check_seeds(config["seeds"])
    if config["name"] is not None and not re.fullmatch(NAME, str(config["name"])):
        raise not_allowed("name", config["name"], "give letters, digits and any of . _ + = @ -")
    if not isinstance(config["rerun"], bool):
        raise not_allowed("rerun", config["rerun"], "give true or false")
    if type(config["store_gb"]) not in (int, float) or config["store_gb"] < 0:
        raise not_allowed("store_gb", config["store_gb"], "give a number of gigabytes, 0 or more")
    if config["store"] is False:  # what "off" is in a yaml file
        config["store"] = "off"
    for name in ("results", "mirror", "store"):
        value = config[name]
        if isinstance(value, str) and value:
            config[name] = str(Path(value).expanduser())
        elif value is not None or name == "results":
            raise not_allowed(name, value, "give a folder")


def check_seeds(seeds: object) -> None:
    """Refuse all but None and several seeds, each once."""
    if seeds is None:
        return
    given = seeds if isinstance(seeds, list) else []
    whole = all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in given)
    if not whole or not given or len(set(given)) < len(given):
        text = ",".join(map(str, seeds)) if isinstance(seeds, list) else seeds
        raise not_allowed(
            "seeds", text, "give whole numbers from 0 on, each once, as in seeds=0,1,2"
        )


def not_allowed(name: str, value: object, hint: str) -> UserError:
    """The error for a value of a setting."""
    return UserError(f"{name}={value} is not allowed; {hint}")


def model_name(hydra: Any, config: dict[str, Any]) -> str:
    """A model's name in the tables: its yaml's, or that of the model.path of the command line.

    The name of an adapter follows, after a plus sign.
    """
    path, adapter = (config["model"].get(name) for name in ("path", "adapter"))
    given = any(word.startswith("model.path=") for word in hydra.overrides.task)
    name = folder_name(path) if path and given else str(hydra.runtime.choices["model"])
    return f"{name}+{folder_name(adapter)}" if adapter else name


def folder_name(path: str) -> str:
    """The last part of a path, as a part of a model's name."""
    # a link keeps its own name, so this is not Path.resolve
    name = Path(os.path.abspath(Path(path).expanduser())).name  # noqa: PTH100
    return re.sub(r"[^\w.+=@-]", "_", name) or "model"

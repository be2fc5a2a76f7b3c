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
        raise UserError(f"model.path={path} is not allowed; give a hub id or a folder, as ./{path}")
    for name, lowest in {"limit": 1, "batch_tokens": 1, "seed": 0}.items():
        value = config[name]
        if value is None and name == "limit":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise UserError(f"{name}={value} is not allowed; give a whole number from {lowest} on")
    if config["seed"] > LARGEST_SEED:
        raise UserError(f"seed={config['seed']} is not allowed; {LARGEST_SEED} is the largest")
    if config["seeds"] is not None:
        config["seeds"] = check_seeds(config["seeds"])
    if config["name"] is not None and not re.fullmatch(NAME, str(config["name"])):
        raise UserError(
            f"name={config['name']} is not allowed; give letters, digits and any of . _ + = @ -"
        )
    if not isinstance(config["rerun"], bool):
        raise UserError(f"rerun={config['rerun']} is not allowed; give true or false")
    room = config["store_gb"]
    if not isinstance(room, int | float) or isinstance(room, bool) or room < 0:
        raise UserError(f"store_gb={room} is not allowed; give a number of gigabytes, 0 or more")
    if config["store"] is False:  # what "off" is in a yaml file
        config["store"] = "off"
    for name in ("results", "mirror", "store"):
        value = config[name]
        if value is None and name != "results":
            continue
        if not isinstance(value, str) or not value:
            raise UserError(f"{name}={value} is not allowed; give a folder")
        config[name] = str(Path(value).expanduser())


def check_seeds(seeds: object) -> list[int]:
    """Several seeds, each once."""
    whole = isinstance(seeds, list) and all(
        type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in seeds
    )
    if not isinstance(seeds, list) or not whole or not seeds or len(set(seeds)) < len(seeds):
        told = ",".join(map(str, seeds)) if isinstance(seeds, list) else seeds
        raise UserError(
            f"seeds={told} is not allowed; give whole numbers from 0 on, each once, as in "
            "seeds=0,1,2"
        )
    return seeds


def model_name(hydra: Any, config: dict[str, Any]) -> str:
    """A model's name in the tables: its yaml's, or that of the model.path of the command line."""
    path = config["model"].get("path")
    given = any(word.startswith("model.path=") for word in hydra.overrides.task)
    if path is None or not given:
        return str(hydra.runtime.choices["model"])
    # a link keeps its own name, so this is not Path.resolve
    name = Path(os.path.abspath(Path(path).expanduser())).name  # noqa: PTH100
    return re.sub(r"[^\w.+=@-]", "_", name) or "model"

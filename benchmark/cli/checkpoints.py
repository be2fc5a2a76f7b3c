"""The checkpoints of a series, and how far each of them was trained."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from math import inf, nan
from pathlib import Path
from typing import Any, Literal, get_args

from benchmark.core import UserError

Axis = Literal["tokens", "flops", "step"]
AXES = get_args(Axis)
"""What scores are shown against, the first that is known of all checkpoints by default."""
NUMBER = re.compile(r"(?i)([a-z]*)[ _=-]*(\d+(?:\.\d+)?)([kmbt](?![a-z]))?")
"""A word, the number after it, and its unit."""
UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
OF_STEPS = ("step", "checkpoint", "ckpt", "iter")


def find_checkpoints(word: str) -> list[Path]:
    """The checkpoints that a path names: itself, those in the folder, or those of the pattern."""
    path = Path(word).expanduser()
    if (path / "config.json").is_file():
        return [path]
    root = Path(path.anchor)
    inside = path.iterdir() if path.is_dir() else root.glob(str(path.relative_to(root)))
    found = [folder for folder in inside if (folder / "config.json").is_file()]
    if not found:
        raise UserError(
            f"{word} holds no checkpoint; give a folder of folders with config.json, a pattern "
            "such as 'runs/step_*', or the names of models, separated by commas"
        )
    return sorted(found, key=natural)


def natural(path: Path) -> list[tuple[float, str]]:
    """Sorts step_900 before step_1000."""
    parts = re.split(r"(\d+)", path.name)
    return [(float(part), "") if part.isdigit() else (-1.0, part) for part in parts]


def positions(names: Sequence[str], models: Sequence[Mapping[str, Any]]) -> list[dict[Axis, float]]:
    """Tokens, FLOPs and steps of each checkpoint, as far as they are known.

    In this order: from the facts of the model's yaml (`training_tokens` or `tokens`,
    `training_flops` or `flops`, `step`), from recipe.json in its folder, from its name.
    models: the settings of each.
    """
    found = []
    for name, model in zip(named(names), models, strict=True):
        known = dict[Axis, float](name)
        for facts in (recipe(str(model.get("path", ""))), model.get("facts") or {}):
            for axis in AXES:
                value = facts.get(f"training_{axis}", facts.get(axis))
                if value is not None:
                    known[axis] = number(value, f"{axis} of {model.get('path')}")
        found.append(known)
    return found


def number(value: object, what: str) -> float:
    """A positive number, also one that YAML takes for a text, as 1e6."""
    try:
        found = float(str(value))
    except ValueError:
        found = nan
    if not 0 <= found < inf:
        raise UserError(f"{what}: {value} is not a number; give one of at least 0")
    return found


def recipe(path: str) -> dict[str, Any]:
    """What recipe.json says, in the form of facts; its `cost`, what a training took, comes first.

    `package:NAME` is a checkpoint of this package.
    """
    from benchmark.backbones.checkpoint import POCKET

    own = path.removeprefix("package:")
    file = (POCKET / own if own != path else Path(path).expanduser()) / "recipe.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError:
        raise UserError(f"{file} is not JSON; correct or remove it") from None
    cost = values.get("cost", {})
    return {**values, **cost, **({"flops": cost["flops_6nd"]} if "flops_6nd" in cost else {})}


def named(names: Sequence[str]) -> list[dict[Axis, float]]:
    """What names say: of several numbers in them, the last one in which they differ.

    `step_1000` and `checkpoint-500` are steps, `3m` and `tokens=3000` are tokens.
    """
    numbers = [NUMBER.findall(Path(name).name) for name in names]
    for found in reversed(list(zip_longest(*numbers))):
        if None not in found and len(set(found)) > 1:
            return [
                {
                    "tokens" if is_of_tokens(word, unit) else "step": float(digits)
                    * UNITS[unit.lower()]
                }
                for word, digits, unit in found
            ]
    return [{} for _ in names]


def is_of_tokens(word: str, unit: str) -> bool:
    """Whether a number in a name counts tokens."""
    return "token" in word.lower() or bool(unit and not word.lower().endswith(OF_STEPS))


def choose_axis(known: Sequence[Mapping[Axis, float]], axis: str | None) -> Axis:
    """The first axis on which every checkpoint has a place, or the one that the user names."""
    if axis is not None and axis not in AXES:
        raise UserError(f"x={axis} is not known; there is x={', x='.join(AXES)}")
    complete = [a for a in AXES if all(a in places for places in known)]
    if axis in complete or (axis is None and complete):
        return next(a for a in complete if axis in (None, a))
    wanted = axis or " or ".join(AXES)
    raise UserError(
        f"the {wanted} of every checkpoint must be known; name the folders as step_1000 or 3m, put "
        "tokens into recipe.json, or training_tokens into the facts of their yamls"
    )

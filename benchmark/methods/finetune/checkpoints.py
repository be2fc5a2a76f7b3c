"""Files of a training: first the state to resume from, then the fitted weights.

state.pt while it runs; then fit.json, curve.csv, curve.png, head.safetensors, and the trained
weights of the backbone if any. Each file is replaced atomically; fit.json is written last.
"""

import csv
import json
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmark.core import UserError
from benchmark.files import replacing

FORMAT = 1
"""Of the state; raised when it changes, so that older states are not resumed."""
STATE, FIT, HEAD = "state.pt", "fit.json", "head.safetensors"


class Epoch(NamedTuple):
    """A row of the learning curve: an epoch's mean losses, and the time until its end."""

    epoch: int
    """1-based."""
    step: int
    train_loss: float
    valid_loss: float
    seconds: float


def save_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a state of tensors, numbers, and lists and dictionaries of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / STATE) as file, file.open("wb") as stream:  # whose errors have numbers
        torch.save({"format": FORMAT, **state}, stream)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Read the state to the CPU; None if it has another format."""
    path = folder / STATE
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        raise UserError(
            f"{path} is damaged; delete it to start the training from the beginning"
        ) from None
    if state.get("format") != FORMAT:
        print(
            f"{path} has format {state.get('format')}, not {FORMAT}; the training starts from the "
            "beginning",
            file=sys.stderr,
        )
        return None
    return state


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors."""
    with replacing(path) as file:
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        file.touch()
        mode = file.stat().st_mode  # of any new file; the library makes files for the owner only
        save_file(whole, file, metadata={"format": "pt"})
        file.chmod(mode)


def finish(
    folder: Path, choices: Mapping[str, Any], cost: Mapping[str, int], curve: Sequence[Epoch]
) -> None:
    """Write the learning curve and fit.json, and delete the states."""
    with replacing(folder / "curve.csv") as file, file.open("w", newline="") as stream:
        csv.writer(stream).writerows([Epoch._fields, *curve])
    if len(curve) > 1:  # matplotlib takes a second to start
        with replacing(folder / "curve.png") as file:
            draw(curve, file)
    with replacing(folder / FIT) as file:
        content = {"choices": choices, "cost": cost}
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    for file in (folder / STATE, *folder.glob(f".{STATE}.*")):  # also those of interrupted runs
        file.unlink(missing_ok=True)


def draw(curve: Sequence[Epoch], file: Path) -> None:
    """Plot the losses by epoch; a ring marks the lowest loss on valid."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = [row.epoch for row in curve]
    best = min(curve, key=lambda row: row.valid_loss)
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(epochs, [row.train_loss for row in curve], ".-", label="train")
    axes.plot(epochs, [row.valid_loss for row in curve], ".-", label="valid")
    axes.plot(best.epoch, best.valid_loss, "o", ms=10, mfc="none", color="black")
    axes.set(xlabel="epoch", ylabel="loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    figure.savefig(file, format="png", dpi=120)

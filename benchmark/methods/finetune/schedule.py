"""The order of a training: effective batches, and the learning rate of each step."""

from collections.abc import Sequence
from math import ceil, cos, pi

import numpy as np

POOL = 16
"""Effective batches whose examples are sorted by length together."""
SCHEDULES = ("linear", "cosine", "constant")


def effective_batches(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Each example once, in batches of similar lengths; determined by seed and epoch."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths)).tolist()
    grouped: list[list[int]] = []
    for start in range(0, len(order), POOL * size):
        pool = sorted(order[start : start + POOL * size], key=lambda row: lengths[row])
        grouped += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [grouped[at] for at in rng.permutation(len(grouped)).tolist()]


def rate(schedule: str, step: int, steps: int, warmup: float) -> float:
    """Factor of the learning rate at a step, 0-based, as in transformers' schedules."""
    warmup_steps = ceil(warmup * steps)
    if step < warmup_steps:
        return step / warmup_steps
    if schedule == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 1 - progress if schedule == "linear" else (1 + cos(pi * progress)) / 2

"""How much two results of one backbone may differ and still count as equal."""

from collections.abc import Sequence

import numpy as np

from benchmark.core import Float32

ROUNDING = {"float32": 1e-4, "bfloat16": 5e-2}
"""Largest relative distance of two vectors that counts as rounding."""


def distance(a: Sequence[Float32], b: Sequence[Float32]) -> float:
    """Largest distance of two vectors (last axis), relative to the first's norm; inf with NaN."""
    worst = 0.0
    for one, other in zip(a, b, strict=True):
        if one.shape != other.shape:
            return float("inf")
        length = np.linalg.norm(one.astype(np.float64), axis=-1)
        apart = np.linalg.norm(one.astype(np.float64) - other, axis=-1)
        if not np.isfinite(apart).all():
            return float("inf")
        worst = max(worst, float(np.max(apart / np.maximum(length, 1e-30))))
    return worst

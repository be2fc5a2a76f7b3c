"""Adjusted p-values of several tests; an unknown p-value (None) is no test and stays unknown."""

from collections.abc import Callable, Sequence

import numpy as np

from benchmark.core import Array

ALPHA = 0.05
"""Level of tests, after correction."""


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down p-values: the chance of any false positive is at most the level.

    Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """

    def adjust(p: Array) -> Array:
        return np.minimum(np.maximum.accumulate(p * np.arange(len(p), 0, -1)), 1.0)

    return adjusted(p, adjust)


def false_discovery(p: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's step-up p-values: they bound the share of false positives.

    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """

    def adjust(p: Array) -> Array:
        return np.minimum.accumulate((p * len(p) / np.arange(1, len(p) + 1))[::-1])[::-1]

    return adjusted(p, adjust)


def adjusted(p: Sequence[float | None], adjust: Callable[[Array], Array]) -> list[float | None]:
    """Adjust the known p-values, in ascending order."""
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    values = adjust(np.array([value for value, _ in known])).tolist()
    found = dict(zip([place for _, place in known], values, strict=True))
    return [found.get(place) for place in range(len(p))]

"""Adjusted p-values of several tests; an unknown p-value (None) is no test and stays unknown."""

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down p-values: the chance of any false positive is at most the level.

    Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    order, values = ascending(p)
    steps = np.maximum.accumulate(values * np.arange(len(values), 0, -1))
    return placed(p, order, np.minimum(steps, 1.0).tolist())


def false_discovery(p: Sequence[float | None]) -> list[float | None]:
    """Benjamini and Hochberg's step-up p-values: they bound the share of false positives.

    Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x.
    """
    order, values = ascending(p)
    steps = values * len(values) / np.arange(1, len(values) + 1)
    return placed(p, order, np.minimum.accumulate(steps[::-1])[::-1].tolist())


def ascending(p: Sequence[float | None]) -> tuple[list[int], "np.ndarray"]:
    """Places of the known p-values by ascending value, and the values."""
    known = [(value, place) for place, value in enumerate(p) if value is not None]
    return [place for _, place in sorted(known)], np.array([value for value, _ in sorted(known)])


def placed(
    p: Sequence[float | None], order: Sequence[int], values: Sequence[float]
) -> list[float | None]:
    """The adjusted values in the order of `p`."""
    found = dict(zip(order, values, strict=True))
    return [found.get(place) for place in range(len(p))]

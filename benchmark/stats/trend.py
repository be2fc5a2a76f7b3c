"""What paired tests say about the checkpoints of a training."""

from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import NamedTuple, TypeVar

from benchmark.stats.multiplicity import ALPHA, holm
from benchmark.stats.paired import Resampled, difference

Name = TypeVar("Name", bound=Hashable)


class Drop(NamedTuple):
    """A checkpoint that is significantly worse than an earlier one."""

    later: int
    earlier: int
    """The one with the largest loss."""
    loss: float
    p: float
    """By Holm's correction over all pairs of checkpoints."""


class Trend(NamedTuple):
    """Checkpoints by their place in the series."""

    best: int
    tied: frozenset[int]
    """Those that are not significantly worse than the best, by Holm's correction over them."""
    drop: Drop | None
    """The first one."""


def trend(known: Mapping[int, Resampled], better: bool) -> Trend:
    """The best checkpoint, those tied with it, and the first drop.

    known: results on one test set, in the order of training; better: whether higher is better.
    """
    best = (max if better else min)(known, key=lambda number: known[number].score)
    pairs, drops = list(combinations(known, 2)), list[Drop]()
    changes = [difference(known[later], known[earlier]) for earlier, later in pairs]
    adjusted = holm([change.p for change in changes])
    for (earlier, later), change, p in zip(pairs, changes, adjusted, strict=True):
        loss = -change.value if better else change.value
        if loss > 0 and p is not None and p <= ALPHA:
            drops.append(Drop(later, earlier, loss, p))
    order = list(known)
    first = min((order.index(drop.later) for drop in drops), default=None)
    found = [drop for drop in drops if order.index(drop.later) == first]
    drop = max(found, key=lambda drop: drop.loss, default=None)
    return Trend(best, tied_with(known, best), drop)


def tied_with(known: Mapping[Name, Resampled], best: Name) -> frozenset[Name]:
    """Those that paired tests do not separate from the best, by Holm's correction over them."""
    others = [number for number in known if number != best]
    adjusted = holm([difference(known[number], known[best]).p for number in others])
    pairs = zip(others, adjusted, strict=True)
    return frozenset(number for number, p in pairs if p is None or p > ALPHA)

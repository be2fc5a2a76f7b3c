"""Resampling units: groups of rows that are not independent.

A unit is drawn as a whole in a resample (`benchmark.stats.bootstrap`), and `hold_out` never splits
it.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from benchmark.core import Array, Chains, UserError


def keys(rows: Sequence[Chains], chain: int | None, substitutions: int | None) -> list[str]:
    """Name the unit of each row by one of its chains; rows with the same name are one unit.

    chain: index of the chain, 0 the first and -1 the last; None: the chain that occurs in most
        rows. So pairs that share a protein are together as far as possible without all of them
        becoming one unit, and A with B is the same pair as B with A.
    substitutions: chains of one length that differ in at most this many positions, directly or
        through others, are one unit; None: only equal chains.
    """
    for name, value in (("chain", chain), ("substitutions", substitutions)):
        if value is not None and (type(value) is not int or (value < 1 and name != "chain")):
            raise UserError(f"unit.{name}={value} is not allowed; give a whole number, or null")
    if chain is None:
        count = Counter(chain for row in rows for chain in set(row))
        named = [max(row, key=lambda chain: (count[chain], chain)) for row in rows]
    else:
        counts = [len(row) for row in rows]
        if not -min(counts) <= chain < min(counts):
            raise UserError(
                f"unit.chain={chain} does not exist; a row has {min(counts)} chains, 0 is the "
                "first and -1 the last"
            )
        named = [row[chain] for row in rows]
    if substitutions is None:
        return named
    parent = linked(list(dict.fromkeys(named)), substitutions)
    return [parent[name] for name in named]


def linked(chains: Sequence[str], substitutions: int) -> dict[str, str]:
    """Chain -> the first of the chains linked to it by steps of at most `substitutions`."""
    # Two chains that differ in k positions agree in at least one of k + 1 pieces.
    buckets = defaultdict[tuple[int, int, str], list[int]](list)
    for row, chain in enumerate(chains):
        ends = [len(chain) * piece // (substitutions + 1) for piece in range(substitutions + 2)]
        for piece, (start, end) in enumerate(pairwise(ends)):
            buckets[len(chain), piece, chain[start:end]].append(row)
    pairs = [np.empty((0, 2), np.intp)]
    for rows in buckets.values():
        letters = np.array([list(chains[row].encode()) for row in rows], np.uint8)
        for first, row in enumerate(rows):
            places = (letters[first + 1 :] != letters[first]).sum(axis=1)
            near = np.array(rows[first + 1 :])[places <= substitutions]
            pairs.append(np.column_stack([np.full_like(near, row), near]))
    part = components(np.concatenate(pairs), len(chains))
    names = dict(zip(part[::-1].tolist(), chains[::-1], strict=True))
    return {chain: names[p] for chain, p in zip(chains, part.tolist(), strict=True)}


def joined(rows: Sequence[Chains], groups: Sequence[str]) -> list[str]:
    """Merge groups that contain rows with equal chains."""
    names, group = np.unique(groups, return_inverse=True)
    first = dict[Chains, int]()
    pairs = [(first.setdefault(row, g), g) for row, g in zip(rows, group.tolist(), strict=True)]
    part = components(np.array(pairs), len(names))
    chosen = dict(zip(part[::-1].tolist(), names[::-1].tolist(), strict=True))
    return [chosen[p] for p in part[group].tolist()]


def components(pairs: Array, count: int) -> Array:
    """Connected component of each of `count` nodes, given the links, (m, 2)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1])

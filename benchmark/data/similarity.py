"""The training proteins that are most similar to a protein, and how they align."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from benchmark.core import Array, Chains
from benchmark.data import mmseqs
from benchmark.data.homology import EDGES, PARAMETERS, SURE, equal_shares

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MOST = 100
"""Known chains of equal length, in each block of them, that a chain is compared with further."""
CELLS = 50_000_000
"""Similarities of a block of proteins to all known proteins, in memory."""
Columns = tuple[Array, Array]
"""Residues of two chains that are aligned, 0-based, (c,) each."""


class Neighbour(NamedTuple):
    """A known protein that is similar to a protein."""

    row: int
    """Index of the known protein."""
    similarity: float
    """Share of the protein's residues that are aligned with an equal one; the mean over chains."""
    columns: Columns | None
    """The alignment of the first chains; None: not read, or residue by residue."""


def neighbours(
    inputs: Sequence[Chains], known: Sequence[Chains], most: int, options: str, *, columns: bool
) -> Iterator[list[Neighbour]]:
    """Yield the `most` nearest known proteins of each input, nearest first; ties in their order.

    options: of MMseqs2. columns: whether to read alignments.
    """
    chain_columns = list(zip(zip(*inputs, strict=True), zip(*known, strict=True), strict=True))
    parts, alignments = [], dict[tuple[int, int], Columns]()
    for at, (mine, theirs) in enumerate(chain_columns):
        (chains, row), (others, target) = unique(mine), unique(theirs)
        table, found = similarities(chains, others, options, columns and not at)
        parts.append((table, row, target))
        alignments |= found
    _, rows, targets = parts[0]
    step = max(1, CELLS // len(known))
    for start in range(0, len(inputs), step):
        block = slice(start, start + step)
        tables = [table[row[block]].tocsc()[:, target].toarray() for table, row, target in parts]
        for at, values in enumerate(np.mean(tables, axis=0), start):
            yield [
                Neighbour(near, float(values[near]), alignments.get((rows[at], targets[near])))
                for near in nearest(values, most)
            ]


def unique(chains: Sequence[str]) -> tuple[list[str], Array]:
    """The different chains, and the index of each chain among them."""
    index = {chain: row for row, chain in enumerate(dict.fromkeys(chains))}
    return list(index), np.array([index[chain] for chain in chains])


def nearest(values: Array, most: int) -> list[int]:
    """Indices of the largest positive values, largest first; ties in their order."""
    similar = np.flatnonzero(values > 0)
    if len(similar) > most:
        least = np.partition(values[similar], -most)[-most]
        similar = similar[values[similar] >= least]
    order: list[int] = similar[np.argsort(-values[similar], kind="stable")][:most].tolist()
    return order


def similarities(
    chains: Sequence[str], known: Sequence[str], options: str, columns: bool
) -> tuple["csr_array", dict[tuple[int, int], Columns]]:
    """Similarity of unique chains to known chains, 0 if they are not similar; alignments by index.

    Chains of equal length are compared residue by residue, which finds variants and peptides; they
    are similar from `homology.SURE` on. All others are searched with MMseqs2, as in an audit.
    """
    from scipy.sparse import coo_array, csr_array

    shape = len(chains), len(known)
    found = [(np.zeros(0), np.zeros((2, 0), np.int64))]
    best = np.zeros(len(chains))
    for mine, others, share in equal_shares(chains, known):
        few = min(MOST, len(others))
        least = np.partition(share, -few, axis=1)[:, -few, None]
        row, column = np.nonzero((share >= SURE) & (share >= least))
        found.append((share[row, column], np.stack([mine[row], others[column]])))
        best[mine] = np.maximum(best[mine], share.max(axis=1))
    values, places = (np.concatenate(part, axis=-1) for part in zip(*found, strict=True))
    table = csr_array(coo_array((values, places), shape))
    long = np.array([len(chain) >= PARAMETERS["shortest"] for chain in chains])
    far = np.flatnonzero(long & (best < max(EDGES.values())))
    hits = mmseqs.search([chains[row] for row in far.tolist()], known, options, columns=columns)
    query = far[hits.query]
    order = np.argsort(-hits.equal, kind="stable")  # of several alignments of a pair the best
    _, first = np.unique(np.stack([query, hits.target])[:, order], axis=1, return_index=True)
    use = order[first]
    searched = csr_array(coo_array((hits.equal[use], (query[use], hits.target[use])), shape))
    aligned = {}
    if columns:
        better = hits.equal[use] > table[query[use], hits.target[use]]
        aligned = {(int(query[at]), int(hits.target[at])): hits.columns[at] for at in use[better]}
    return table.maximum(searched), aligned

"""Feature vectors of proteins, residues and residue pairs, from a backbone's embeddings."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import (
    Backbone,
    Chains,
    Example,
    Float32,
    Readout,
    UserError,
    contact_map,
    known_pairs,
)
from benchmark.embedding.extraction import Embedder
from benchmark.progress import track

SEPARATIONS = (6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lower bounds of the bins of sequence separation, in residues; closer pairs are in no bin."""


def protein_features(embedder: Embedder, inputs: Sequence[Chains], label: str) -> Float32:
    """One row for each protein: its chains' vectors side by side, (n, chains x dim).

    A chain that occurs several times is embedded once. label: shown next to the progress bar.
    """
    check_counts(inputs)
    unique = list(dict.fromkeys(chain for chains in inputs for chain in chains))
    vectors = embedder.proteins(unique)
    check_lengths(embedder.backbone, unique)
    places: dict[str, list[tuple[int, int]]] = {chain: [] for chain in unique}
    for row, chains in enumerate(inputs):
        for column, chain in enumerate(chains):
            places[chain].append((row, column))
    dim = embedder.backbone.protein_dim
    table = np.empty((len(inputs), len(inputs[0]), dim), np.float32)
    for chain, vector in zip(unique, track(vectors, len(unique), label), strict=True):
        for place in places[chain]:
            table[place] = vector
    return table.reshape(len(inputs), -1)


def residue_features(embedder: Embedder, inputs: Sequence[Chains], label: str) -> Iterator[Float32]:
    """The residues of each single-chain protein, (L, dim), in order."""
    chains = [chain for (chain,) in inputs]
    vectors = embedder.residues(chains)
    check_lengths(embedder.backbone, chains)
    return track(vectors, len(chains), label)


def is_protein_level(readout: Readout) -> bool:
    """Whether an answer is about whole proteins rather than the residues of one."""
    return readout.level in ("protein", "variant")


def feature_rows(
    embedder: Embedder, readout: Readout, inputs: Sequence[Chains], label: str
) -> Iterator[Float32]:
    """Yield the rows of each input (`embedded_chains`): a protein (1, width), residues (L, dim)."""
    if is_protein_level(readout):
        yield from protein_features(embedder, inputs, label)[:, None]
    else:
        yield from residue_features(embedder, inputs, label)


def pair_labels(example: Example, first: int) -> NDArray[np.int8]:
    """Whether pairs are contacts: 1, 0, or -1 if unknown; (m,), as `triu_indices(L, first)`."""
    length = len(example.chains[0])
    upper = np.triu_indices(length, first)
    known = known_pairs(example.label, length)[upper]
    return np.where(known, contact_map(example.label, length)[upper], np.int8(-1))


class Pairs(NamedTuple):
    """Training pairs i < j of a chain, (m,) each."""

    i: NDArray[np.intp]
    j: NDArray[np.intp]
    contacts: NDArray[np.bool_]
    weights: NDArray[np.float64]


def sample_pairs(
    labels: NDArray[np.int8], length: int, first: int, most: int, rng: np.random.Generator
) -> Pairs:
    """All pairs in class 1 and at most so many in class 0, weighted to represent all of it.

    labels: as `pair_labels` returns them for a chain of this length and this first separation.
    """
    negative = np.flatnonzero(labels == 0)
    drawn = rng.choice(negative, min(most, len(negative)), replace=False)
    use = np.sort(np.concatenate([np.flatnonzero(labels == 1), drawn]))
    i, j = np.triu_indices(length, first)
    contacts = labels[use] == 1
    weights = np.where(contacts, 1.0, len(negative) / max(1, len(drawn)))
    return Pairs(i[use], j[use], contacts, weights)


def separation_bins(separations: NDArray[np.intp]) -> NDArray[np.intp]:
    """The bin of each sequence separation, -1 for none."""
    return np.searchsorted(SEPARATIONS, separations, side="right") - 1


def write_pair_features(
    table: Any, residues: Any, i: NDArray[np.intp], j: NDArray[np.intp]
) -> None:
    """Write pairs of residues, (m, 3 x dim + bins): product, distance and sum of their vectors.

    All three are symmetric in i and j. The last columns are the one-hot bin of |i - j|. Both
    arrays are NumPy's, or tensors of one device.
    """
    a, b = residues[i], residues[j]
    dim = a.shape[1]
    table[:, :dim] = a * b
    table[:, dim : 2 * dim] = abs(a - b)
    table[:, 2 * dim : 3 * dim] = a + b
    table[:, 3 * dim :] = 0
    bins = separation_bins(np.abs(i - j))
    rows = np.flatnonzero(bins >= 0)
    table[rows, 3 * dim + bins[rows]] = 1


def embedded_chains(
    backbone: Backbone, readout: Readout, inputs: Sequence[Chains]
) -> Sequence[Chains]:
    """The chains to embed: all, or joined by the backbone's linker, or the variant alone."""
    if readout.level == "variant":
        return [chains[:1] for chains in inputs]
    if readout.chains == "apart":
        return inputs
    joined = [backbone.linker.join(chains) for chains in inputs]
    longest = max(map(len, joined), default=0)
    if backbone.max_length is not None and longest > backbone.max_length:
        raise UserError(
            f"joined by their linker, chains have {longest} residues and the model reads "
            f"{backbone.max_length}; use task.chains=apart, or a smaller task.max_length"
        )
    return [(chain,) for chain in joined]


def check_counts(inputs: Sequence[Chains]) -> None:
    """Refuse proteins with different numbers of chains: their vectors are concatenated."""
    counts = {len(chains) for chains in inputs}
    if len(counts) > 1:
        raise UserError(
            f"the task's proteins have {min(counts)} to {max(counts)} chains; "
            "a probe needs the same number in each"
        )


def check_lengths(backbone: Backbone, chains: Sequence[str]) -> None:
    """Refuse chains that the backbone would truncate, which would change the score silently."""
    longest = max(map(len, chains))
    if backbone.max_length is not None and longest > backbone.max_length:
        raise UserError(
            f"a chain has {longest} residues and the model reads {backbone.max_length}; "
            f"cut all chains, for every model alike, with task.max_length={backbone.max_length}, "
            "and if the task limits how many may be cut, give task.allow.truncated=1.0"
        )

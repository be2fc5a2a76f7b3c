"""Feature vectors of proteins, residues and residue pairs, from a backbone's embeddings."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Array, Backbone, Chains, Example, Readout, UserError, contact_map
from benchmark.embedding.extraction import Embedder
from benchmark.progress import track

Float32 = NDArray[np.float32]

SEPARATIONS = (6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lower bounds of the bins of sequence separation, in residues; closer pairs are in no bin."""


def protein_features(embedder: Embedder, inputs: Sequence[Chains], label: str) -> Float32:
    """One row for each protein: its chains' vectors side by side, (n, chains x dim).

    A chain that occurs several times is embedded once. label: shown beside the progress bar.
    """
    check_counts(inputs)
    unique = list(dict.fromkeys(chain for chains in inputs for chain in chains))
    vectors = embedder.proteins(unique)
    check_lengths(embedder.backbone, unique)
    row = {chain: index for index, chain in enumerate(unique)}
    table = np.stack(list(track(vectors, len(unique), label)))
    return np.concatenate(
        [table[[row[chain] for chain in column]] for column in zip(*inputs, strict=True)], axis=1
    )


def residue_features(embedder: Embedder, inputs: Sequence[Chains], label: str) -> Iterator[Float32]:
    """Yield the residues of each single-chain protein, (L, dim), in order."""
    chains = [chain for (chain,) in inputs]
    vectors = embedder.residues(chains)
    check_lengths(embedder.backbone, chains)
    yield from track(vectors, len(chains), label)


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


def pair_labels(example: Example, first: int) -> Array:
    """Whether the pairs of a chain's residues are contacts, (m,), as `triu_indices(L, first)`."""
    length = len(example.chains[0])
    return contact_map(example.label, length)[np.triu_indices(length, first)]


def pair_features(residues: Float32, i: NDArray[np.intp], j: NDArray[np.intp]) -> Float32:
    """Pairs of residues, (m, 3 x dim + bins): product, distance and sum of their vectors.

    All three are symmetric in i and j. The last columns are the one-hot bin of |i - j|.
    """
    a, b = residues[i], residues[j]
    bins = np.searchsorted(SEPARATIONS, np.abs(i - j), side="right")
    near = np.eye(len(SEPARATIONS) + 1, dtype=np.float32)[bins][:, 1:]
    return np.concatenate([a * b, np.abs(a - b), a + b, near], axis=1)


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

"""From a backbone's embeddings to the rows of numbers that a probe learns from."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.core import (
    Backbone,
    Chains,
    ProteinEmbeddings,
    Readout,
    ResidueEmbeddings,
    UserError,
)
from benchmark.embedding.extraction import embed
from benchmark.progress import track

Float32 = NDArray[np.float32]

SEPARATIONS = (6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lower bounds of the bins of sequence separation, in residues; nearer pairs are in none."""


def protein_features(backbone: Backbone, questions: Sequence[Chains], what: str) -> Float32:
    """One row a protein: its chains' vectors side by side, (n, chains x dim).

    A chain that occurs several times is embedded once.
    """
    if not isinstance(backbone, ProteinEmbeddings):
        raise refusal(backbone, "one vector a protein")
    check_counts(questions)
    unique = list(dict.fromkeys(chain for chains in questions for chain in chains))
    check_lengths(backbone, unique)
    pool = backbone.embed_proteins
    vectors = embed(lambda batch: list(pool(batch)), backbone, "protein", unique)
    row = {chain: index for index, chain in enumerate(unique)}
    table = np.stack(list(track(vectors, len(unique), what)))
    return np.concatenate(
        [table[[row[chain] for chain in column]] for column in zip(*questions, strict=True)], axis=1
    )


def residue_features(
    backbone: Backbone, questions: Sequence[Chains], what: str
) -> Iterator[Float32]:
    """The residues of each single-chain protein, (L, dim), in order; few are held at a time."""
    if not isinstance(backbone, ResidueEmbeddings):
        raise refusal(backbone, "a vector for each residue")
    chains = [chain for (chain,) in questions]
    check_lengths(backbone, chains)
    yield from track(embed(backbone.embed_residues, backbone, "residue", chains), len(chains), what)


def side_by_side(readout: Readout) -> bool:
    """Whether an answer is about whole proteins, and not about the residues of one."""
    return readout.level in ("protein", "variant")


def vectors(
    backbone: Backbone, readout: Readout, questions: Sequence[Chains], what: str
) -> Iterator[Float32]:
    """Of each question (`read_by`), in order: a protein's (1, width), or its residues' (L, dim)."""
    if side_by_side(readout):
        yield from protein_features(backbone, questions, what)[:, None]
    else:
        yield from residue_features(backbone, questions, what)


def pair_features(residues: Float32, i: NDArray[np.intp], j: NDArray[np.intp]) -> Float32:
    """Pairs of residues, (m, 3 x dim + bins): product, distance and sum of their vectors.

    All three are symmetric, so (i, j) and (j, i) are one question. Last comes the bin of the
    separation |i - j|, one-hot.
    """
    a, b = residues[i], residues[j]
    bins = np.searchsorted(SEPARATIONS, np.abs(i - j), side="right")
    near = np.eye(len(SEPARATIONS) + 1, dtype=np.float32)[bins][:, 1:]
    return np.concatenate([a * b, np.abs(a - b), a + b, near], axis=1)


def read_by(backbone: Backbone, readout: Readout, questions: Sequence[Chains]) -> Sequence[Chains]:
    """The chains to embed: all, or joined to one by the backbone's linker, or a variant's own."""
    if readout.level == "variant":
        return [chains[:1] for chains in questions]
    if readout.chains == "apart":
        return questions
    joined = [backbone.linker.join(chains) for chains in questions]
    longest = max(map(len, joined), default=0)
    if backbone.max_length is not None and longest > backbone.max_length:
        raise UserError(
            f"joined by their linker, chains have {longest} residues and the model reads "
            f"{backbone.max_length}; use task.chains=apart, or a smaller task.max_length"
        )
    return [(chain,) for chain in joined]


def check_counts(questions: Sequence[Chains]) -> None:
    """Refuse proteins of different numbers of chains: their vectors lie side by side."""
    counts = {len(chains) for chains in questions}
    if len(counts) > 1:
        raise UserError(
            f"the task's proteins have {min(counts)} to {max(counts)} chains; "
            "a probe needs the same number in each"
        )


def check_lengths(backbone: Backbone, chains: Sequence[str]) -> None:
    """Refuse chains that the backbone would have to cut: a score must not depend on that."""
    longest = max(map(len, chains))
    if backbone.max_length is not None and longest > backbone.max_length:
        raise UserError(
            f"a chain has {longest} residues and the model reads {backbone.max_length}; "
            f"cut all chains, for every model alike, with task.max_length={backbone.max_length}"
        )


def refusal(backbone: Backbone, what: str) -> UserError:
    """What to say where a backbone lacks what is asked of it."""
    return UserError(
        f"this task and method need {what}; the backbone {type(backbone).__name__} has none; "
        "choose another model, or another method"
    )

"""Floors of language models: how often residues occur in a corpus, alone or beside neighbours.

`Unigram` expects each residue as often as it occurs, `Bigram` as often as after the residue before,
`Neighbours` as often as between the two beside it: what a causal or a masked language model has
to know of more than its nearest surroundings to be below.

Counts are smoothed by Laplace's rule, `prior` residues added to each context: to the unigram evenly
(20: one of each), to the others as the unigram expects them, so that a context that never occurred
is answered by the unigram. Nothing is chosen by data that is tested.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core import RESIDUES, Backbone, UserError
from benchmark.data.digests import digest
from benchmark.pocket import FOLDER

Float32 = NDArray[np.float32]
Doubles = NDArray[np.float64]
Counts = NDArray[np.int64]
END, OTHER = len(RESIDUES), len(RESIDUES) + 1
"""Codes of a neighbour that is not there, and of a letter beyond `RESIDUES`."""
SHAPE = OTHER + 1, len(RESIDUES), OTHER + 1
"""Of `triples`: left neighbour, residue, right neighbour."""
BLOCK = 4096
"""Chains that are counted at once."""
BREAK = "\n"
CODES = np.full(256, OTHER)
CODES[np.frombuffer(RESIDUES.encode(), np.uint8)] = np.arange(len(RESIDUES))
CODES[ord(BREAK)] = END


def encode(chains: Sequence[str]) -> NDArray[np.int64]:
    """Codes of the chains' letters, one after the other, each chain between two `END`s."""
    text = "".join(BREAK + chain for chain in chains) + BREAK
    return CODES[np.frombuffer(text.encode("ascii"), np.uint8)]


def count_triples(chains: Sequence[str]) -> Counts:
    """Count each residue between its neighbours: (22, 20, 22), the `triples` of a counts file.

    Axes: left neighbour, residue, right neighbour, in the order of `RESIDUES`; of a neighbour 20 is
    the chain's end and 21 any other letter. Residues beyond the 20 are not counted themselves.
    """
    total = np.zeros(SHAPE, np.int64)
    for start in range(0, len(chains), BLOCK):
        codes = encode(chains[start : start + BLOCK])
        middle = codes[1:-1] < END
        places = (codes[:-2][middle], codes[1:-1][middle], codes[2:][middle])
        flat = np.ravel_multi_index(places, SHAPE)
        total += np.bincount(flat, minlength=total.size).reshape(SHAPE)
    return total


def read_triples(source: str) -> Counts:
    """Read `package:NAME.npz` or `file:PATH`: the array `triples` of `count_triples`."""
    kind, _, name = source.partition(":")
    if kind not in ("package", "file"):
        raise UserError(f"model.counts={source} is not known; it starts with package: or file:")
    path = FOLDER / name if kind == "package" else Path(name).expanduser()
    try:
        with np.load(path) as arrays:
            triples: Counts = arrays["triples"]
    except (OSError, KeyError, ValueError):
        raise UserError(
            f"model.counts={source} is no file of counts; numpy.savez(FILE, triples=...) of "
            "benchmark.backbones.baselines.ngram.count_triples(chains) makes one"
        ) from None
    if triples.shape != SHAPE or triples.dtype != np.int64:
        raise UserError(
            f"model.counts={source} has triples of shape {triples.shape} and {triples.dtype}, not "
            f"{SHAPE} and int64"
        )
    return triples


def smooth(counts: Counts, expected: Doubles, prior: float) -> Doubles:
    """Probabilities (..., 20) by counts (..., 20), and `prior` residues more as `expected`."""
    smoothed: Doubles = (counts + prior * expected) / (counts.sum(-1, keepdims=True) + prior)
    return smoothed


@dataclass
class Frequencies(Backbone):
    """Residues are expected by a corpus's counts.

    counts: as `read_triples` takes it. prior: residues that are added to the counts of a context.
    """

    counts: str
    prior: float
    stored = False

    def __post_init__(self) -> None:
        if not self.prior > 0:
            raise UserError(f"model.prior={self.prior} is not above 0")
        triples = read_triples(self.counts)
        self._residues = int(triples.sum())
        even = np.full(len(RESIDUES), 1 / len(RESIDUES))
        unigram = smooth(triples.sum(axis=(0, 2)), even, self.prior)
        table = self.expected(triples.transpose(0, 2, 1), unigram)
        self._table = np.log(np.broadcast_to(table, (OTHER + 1, OTHER + 1, len(RESIDUES))))

    @abstractmethod
    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """Probabilities by left and right neighbour, to be broadcast to (22, 22, 20).

        triples: (22, 22, 20), left neighbour, right neighbour, residue. unigram: (20,).
        """

    @property
    def digest(self) -> str:
        """Digest of the kind and its probabilities."""
        return digest(type(self).__name__, self._table.tobytes())

    def facts(self) -> Mapping[str, Any]:
        """Size of the corpus."""
        return {"counted_residues": self._residues}

    def _log_probs(self, chains: Sequence[str]) -> list[Float32]:
        coded = (encode([chain]) for chain in chains)
        return [self._table[codes[:-2], codes[2:]].astype(np.float32) for codes in coded]

    def _log_likelihoods(self, chains: Sequence[str]) -> Doubles:
        means = []
        for chain, table in zip(chains, self._log_probs(chains), strict=True):
            residue = encode([chain])[1:-1]
            known = np.flatnonzero(residue < END)
            means.append(np.mean(table[known, residue[known]], dtype=np.float64))
        return np.array(means)


class Bigram(Frequencies):
    """A residue by the one before it: the floor of causal models."""

    VERSION = 1
    causal_log_probs = Frequencies._log_probs
    log_likelihoods = Frequencies._log_likelihoods

    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """The same for each right neighbour, (22, 1, 20)."""
        return smooth(triples.sum(axis=1, keepdims=True), unigram, self.prior)


class Neighbours(Frequencies):
    """A residue by the two beside it: the floor of masked models."""

    VERSION = 1
    masked_log_probs = Frequencies._log_probs

    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """(22, 22, 20)."""
        return smooth(triples, unigram, self.prior)


class Unigram(Frequencies):
    """A residue by how often it occurs: the floor of all language models."""

    VERSION = 1
    causal_log_probs = masked_log_probs = Frequencies._log_probs
    log_likelihoods = Frequencies._log_likelihoods

    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """The same everywhere, (20,)."""
        return unigram

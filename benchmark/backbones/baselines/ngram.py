"""Baselines of language models: residue frequencies in a corpus, given nothing or the neighbours.

`Unigram` conditions on nothing, `Bigram` on the preceding residue, `Neighbours` on both adjacent
residues: baselines of causal and masked language models.

Counts are smoothed by Laplace's rule with `prior` pseudo-counts per context: uniform for the
unigram (20: one per residue), in proportion to the unigram for the others, so that an unseen
context falls back to the unigram. Nothing is tuned on test data.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.core import RESIDUES, Backbone, Float32, Sampled, Sampling, UserError
from benchmark.core.answers import BREAK, END, OTHER, residue_codes
from benchmark.data.digests import digest
from benchmark.pocket import FOLDER

Doubles = NDArray[np.float64]
Counts = NDArray[np.int64]
SHAPE = OTHER + 1, len(RESIDUES), OTHER + 1
"""Of `triples`: left neighbour, residue, right neighbour."""
BLOCK = 4096
"""Chains counted at a time."""


def encode(chains: Sequence[str]) -> NDArray[np.int64]:
    """Codes of the chains' letters, concatenated, each chain between two `END`s."""
    return residue_codes("".join(BREAK + chain for chain in chains) + BREAK)


def count_triples(chains: Sequence[str]) -> Counts:
    """Count each residue between its neighbours: (22, 20, 22), the `triples` of a counts file.

    Axes: left neighbour, residue, right neighbour, in the order of `RESIDUES`; neighbour 20 is the
    chain's end, 21 any other letter. Other letters are not counted themselves.
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
            f"model.counts={source} is not a file of counts; numpy.savez(FILE, triples=...) of "
            "benchmark.backbones.baselines.ngram.count_triples(chains) makes one"
        ) from None
    if triples.shape != SHAPE or triples.dtype != np.int64:
        raise UserError(
            f"model.counts={source} has triples of shape {triples.shape} and {triples.dtype}, not "
            f"{SHAPE} and int64"
        )
    return triples


def smooth(counts: Counts, expected: Doubles, prior: float) -> Doubles:
    """Probabilities (..., 20) from counts (..., 20) and `prior` pseudo-counts as `expected`."""
    smoothed: Doubles = (counts + prior * expected) / (counts.sum(-1, keepdims=True) + prior)
    return smoothed


@dataclass
class Frequencies(Backbone):
    """Residue probabilities from a corpus.

    counts: see `read_triples`. prior: pseudo-counts of a context.
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
        self._ends = self.end_shares(triples.sum(axis=0)[:, END], triples.sum(axis=(0, 2)))

    @abstractmethod
    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """Probabilities by left and right neighbour, to be broadcast to (22, 22, 20).

        triples: (22, 22, 20), left neighbour, right neighbour, residue. unigram: (20,).
        """

    def end_shares(self, last: Counts, residues: Counts) -> Doubles:
        """Probability that a chain ends after each left neighbour, to be broadcast to (22,).

        last: (20,), how often each residue is the last of a chain. residues: (20,), of all.
        """
        share: Doubles = last.sum(keepdims=True) / max(1, residues.sum())
        return share

    @property
    def digest(self) -> str:
        """Digest of the kind and its probabilities; of a user's counts, with those of an end."""
        parts = [self._table.tobytes()]
        if not self.counts.startswith("package:"):
            parts.append(self._ends.tobytes())
        return digest(type(self).__name__, *parts)

    def facts(self) -> Mapping[str, Any]:
        """Size of the corpus."""
        return {"counted_residues": self._residues}

    def _log_probs(self, chains: Sequence[str]) -> list[Float32]:
        coded = (encode([chain]) for chain in chains)
        return [self._table[codes[:-2], codes[2:]].astype(np.float32) for codes in coded]

    def _sample(
        self, prompts: Sequence[str], settings: Sampling, seeds: Sequence[int]
    ) -> list[Sampled]:
        """By `benchmark.backbones.sampling`; a chain ends as often as those that were counted."""
        from benchmark.backbones.sampling import TableDecoder, check_lengths, draw

        check_lengths(prompts, settings, None)
        ends = np.broadcast_to(self._ends, (OTHER + 1,)).copy()
        ends[[END, OTHER]] = 0  # no chain is empty, and other letters are not counted
        rows = self._table[:, END] + np.log1p(-ends)[:, None]
        with np.errstate(divide="ignore"):
            decoder = TableDecoder(np.column_stack([rows, np.log(ends)]))
        found = list[Sampled]()
        for at in range(0, len(prompts), BLOCK):
            part = slice(at, at + BLOCK)
            found += draw(decoder, prompts[part], settings, seeds[part])
        return found


class Bigram(Frequencies):
    """A residue given the preceding one: baseline of causal models."""

    VERSION = 1
    causal_log_probs = Frequencies._log_probs
    sample = Frequencies._sample

    def end_shares(self, last: Counts, residues: Counts) -> Doubles:
        """(22,), smoothed as the residues are."""
        every = super().end_shares(last, residues)
        shares = (last + self.prior * every) / (residues + self.prior)
        return np.append(shares, [0.0, 0.0])

    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """The same for each right neighbour, (22, 1, 20)."""
        return smooth(triples.sum(axis=1, keepdims=True), unigram, self.prior)


class Neighbours(Frequencies):
    """A residue given both adjacent ones: baseline of masked models."""

    VERSION = 1
    masked_log_probs = Frequencies._log_probs

    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """(22, 22, 20)."""
        return smooth(triples, unigram, self.prior)


class Unigram(Frequencies):
    """A residue by its frequency: baseline of all language models."""

    VERSION = 1
    causal_log_probs = masked_log_probs = Frequencies._log_probs
    sample = Frequencies._sample

    def expected(self, triples: Counts, unigram: Doubles) -> Doubles:
        """The same in every context, (20,)."""
        return unigram

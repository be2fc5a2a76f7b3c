"""Design matrices of the linear probe, on disk: memory does not grow with the number of chains."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Array, Example, Readout, UserError, known_answers
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import (
    embedded_chains,
    is_protein_level,
    pair_features,
    pair_labels,
    protein_features,
    residue_features,
)

CHUNK = 16_384
"""Rows processed at a time."""


class DesignMatrix(NamedTuple):
    """Features (n, f) float32, labels (n,) or (n, size), and sample weights (n,)."""

    features: NDArray[np.float32]
    labels: Array
    weights: NDArray[np.float64]

    def chunks(self) -> Iterator[slice]:
        """Slices that cover the rows."""
        for start in range(0, len(self.labels), CHUNK):
            yield slice(start, start + CHUNK)

    def shape(self) -> dict[str, int]:
        """Numbers of rows and features, for the Record."""
        return {"rows": len(self.labels), "features": int(self.features.shape[1])}


def memmap_table(folder: Path, rows: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Write rows, (n, f) each, to a file, and return all as a writable memory map."""
    columns = 1
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        for part in rows:
            columns = part.shape[1]
            file.write(np.ascontiguousarray(part, np.float32).data)
    table: NDArray[np.float32] = np.memmap(file.name, np.float32, "r+")
    return table.reshape(-1, columns)


@dataclass(frozen=True, kw_only=True)
class DesignMatrixBuilder:
    """Embeds examples and samples rows with known labels."""

    embedder: Embedder
    readout: Readout
    max_residues: int
    max_chains: int
    pairs_per_chain: int
    rng: np.random.Generator
    folder: Path

    def build(self, examples: Sequence[Example], split: str) -> DesignMatrix:
        """The design matrix of a split; `split` is its name in messages."""
        if not examples:
            raise UserError(f"the task has no {split} examples; a probe needs some to learn from")
        if is_protein_level(self.readout):
            matrix = self._proteins(examples, split)
        elif self.readout.level == "residue":
            matrix = self._residues(examples, split)
        else:
            matrix = self._pairs(examples, split)
        if not all(np.isfinite(matrix.features[part]).all() for part in matrix.chunks()):
            raise UserError("the backbone's embeddings are not finite; try dtype=float32")
        return matrix

    def _known_rows(self, labels: Array, split: str) -> NDArray[np.intp]:
        """Rows with a known answer; of several labels at least one."""
        known = known_answers(labels, self.readout)
        rows = np.flatnonzero(known if known.ndim == 1 else known.any(axis=-1))
        if not len(rows):
            raise unanswered(split)
        return rows

    def _proteins(self, examples: Sequence[Example], split: str) -> DesignMatrix:
        labels = np.stack([np.asarray(example.label) for example in examples])
        rows = self._known_rows(labels, split)
        inputs = [examples[row].chains for row in rows.tolist()]
        chains = embedded_chains(self.embedder.backbone, self.readout, inputs)
        features = protein_features(self.embedder, chains, split)
        return DesignMatrix(features, labels[rows], np.ones(len(rows)))

    def _residues(self, examples: Sequence[Example], split: str) -> DesignMatrix:
        labels = np.concatenate([np.asarray(example.label) for example in examples])
        rows = self._known_rows(labels, split)
        if len(rows) > self.max_residues:
            rows = np.sort(self.rng.choice(rows, self.max_residues, replace=False))
        starts = np.cumsum([0, *(len(example.chains[0]) for example in examples)])
        parts = np.split(rows, np.searchsorted(rows, starts[1:-1]))
        sampled = [
            (example.chains, part - start)
            for example, part, start in zip(examples, parts, starts[:-1], strict=True)
            if len(part)
        ]
        embedded = residue_features(self.embedder, [chains for chains, _ in sampled], split)
        pairs = zip(embedded, sampled, strict=True)
        table = memmap_table(self.folder, (residues[part] for residues, (_, part) in pairs))
        return DesignMatrix(table, labels[rows], np.ones(len(rows)))

    def _pairs(self, examples: Sequence[Example], split: str) -> DesignMatrix:
        """All pairs in class 1, and a sample of class 0 weighted to represent all of it."""
        if len(examples) > self.max_chains:
            rows = np.sort(self.rng.choice(len(examples), self.max_chains, replace=False))
            examples = [examples[row] for row in rows.tolist()]
        labels: list[Array] = []
        weights: list[Array] = []
        embedded = residue_features(self.embedder, [example.chains for example in examples], split)

        def sampled_rows() -> Iterator[NDArray[np.float32]]:
            for residues, example in zip(embedded, examples, strict=True):
                positive = pair_labels(example, self.readout.first_separation)
                negative = np.flatnonzero(~positive)
                count = min(self.pairs_per_chain, len(negative))
                drawn = np.sort(self.rng.choice(negative, count, replace=False))
                use = np.concatenate([np.flatnonzero(positive), drawn])
                labels.append(positive[use].astype(np.int64))
                weights.append(np.where(positive[use], 1.0, len(negative) / max(1, count)))
                i, j = np.triu_indices(len(residues), self.readout.first_separation)
                yield pair_features(residues, i[use], j[use])
            if not any(map(len, labels)):
                raise unanswered(split)

        table = memmap_table(self.folder, sampled_rows())
        return DesignMatrix(table, np.concatenate(labels), np.concatenate(weights))


def unanswered(split: str) -> UserError:
    """The error for a split without any known answer."""
    reason = "a probe needs labels to learn from"
    return UserError(f"no example of {split} has a known answer; {reason}")

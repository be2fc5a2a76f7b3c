"""Design matrices of the linear probe, on disk: memory does not grow with the number of chains."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Array, Example, Readout, UserError, contact_map, known_answers
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import (
    embedded_chains,
    is_protein_level,
    pair_features,
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


class MemmapTable:
    """A float32 table that is written row by row and read as a memory map."""

    def __init__(self, folder: Path) -> None:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            self._path = Path(file.name)
        self._file = self._path.open("wb")
        self._columns = 1

    def __enter__(self) -> "MemmapTable":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, rows: NDArray[np.float32]) -> None:
        """Write rows, (n, f)."""
        self._columns = rows.shape[1]
        self._file.write(np.ascontiguousarray(rows, np.float32).data)

    def table(self) -> NDArray[np.float32]:
        """All rows, writable; to be called after writing has ended."""
        table: NDArray[np.float32] = np.memmap(self._path, np.float32, "r+")
        return table.reshape(-1, self._columns)


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
        else:
            residues = self.readout.level == "residue"
            matrix = (self._residues if residues else self._pairs)(examples, split)
        if matrix is None:
            raise UserError(
                f"no example of {split} has a known answer; a probe needs labels to learn from"
            )
        if not all(np.isfinite(matrix.features[part]).all() for part in matrix.chunks()):
            raise UserError("the backbone's embeddings are not finite; try dtype=float32")
        return matrix

    def _known_rows(self, labels: Array) -> NDArray[np.intp]:
        """Rows with a known answer; of several labels at least one."""
        known = known_answers(labels, self.readout)
        return np.flatnonzero(known if known.ndim == 1 else known.any(axis=-1))

    def _proteins(self, examples: Sequence[Example], split: str) -> DesignMatrix | None:
        labels = np.stack([np.asarray(example.label) for example in examples])
        rows = self._known_rows(labels)
        if not len(rows):
            return None
        inputs = [examples[row].chains for row in rows.tolist()]
        chains = embedded_chains(self.embedder.backbone, self.readout, inputs)
        features = protein_features(self.embedder, chains, split)
        return DesignMatrix(features, labels[rows], np.ones(len(rows)))

    def _residues(self, examples: Sequence[Example], split: str) -> DesignMatrix | None:
        labels = np.concatenate([np.asarray(example.label) for example in examples])
        rows = self._known_rows(labels)
        if len(rows) > self.max_residues:
            rows = np.sort(self.rng.choice(rows, self.max_residues, replace=False))
        if not len(rows):
            return None
        starts = np.cumsum([0, *(len(example.chains[0]) for example in examples)])
        parts = np.split(rows, np.searchsorted(rows, starts[1:-1]))
        sampled = [
            (example.chains, part - start)
            for example, part, start in zip(examples, parts, starts[:-1], strict=True)
            if len(part)
        ]
        embedded = residue_features(self.embedder, [chains for chains, _ in sampled], split)
        with MemmapTable(self.folder) as table:
            for residues, (_, part) in zip(embedded, sampled, strict=True):
                table.append(residues[part])
        return DesignMatrix(table.table(), labels[rows], np.ones(len(rows)))

    def _pairs(self, examples: Sequence[Example], split: str) -> DesignMatrix | None:
        """All pairs in class 1, and a sample of class 0 weighted to represent all of it."""
        if len(examples) > self.max_chains:
            rows = np.sort(self.rng.choice(len(examples), self.max_chains, replace=False))
            examples = [examples[row] for row in rows.tolist()]
        labels: list[Array] = []
        weights: list[Array] = []
        embedded = residue_features(self.embedder, [example.chains for example in examples], split)
        with MemmapTable(self.folder) as table:
            for residues, example in zip(embedded, examples, strict=True):
                i, j = np.triu_indices(len(residues), self.readout.first_separation)
                positive = contact_map(example.label, len(residues))[i, j]
                negative = np.flatnonzero(~positive)
                count = min(self.pairs_per_chain, len(negative))
                drawn = np.sort(self.rng.choice(negative, count, replace=False))
                use = np.concatenate([np.flatnonzero(positive), drawn])
                if len(use):
                    table.append(pair_features(residues, i[use], j[use]))
                    labels.append(positive[use].astype(np.int64))
                    weights.append(np.where(positive[use], 1.0, len(negative) / max(1, count)))
        if not labels:
            return None
        return DesignMatrix(table.table(), np.concatenate(labels), np.concatenate(weights))

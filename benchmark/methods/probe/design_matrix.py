"""Design matrices of the linear probe: features of a sample of bounded size, and its labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Array, Example, Readout, UserError, known_answers
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import (
    SEPARATIONS,
    embedded_chains,
    is_protein_level,
    pair_labels,
    protein_features,
    residue_features,
    sample_pairs,
    write_pair_features,
)
from benchmark.methods.probe.tables import CHUNK, NUMBERS, like, namespace, new_table, to_float64

if TYPE_CHECKING:
    import torch


class DesignMatrix(NamedTuple):
    """Features (n, f) float32, labels (n,) or (n, size), and sample weights (n,).

    Features are an array, or a tensor on a GPU.
    """

    features: Any
    labels: Array
    weights: NDArray[np.float64]

    def chunks(self) -> Iterator[slice]:
        """Slices that cover the rows."""
        step = max(1, min(CHUNK, NUMBERS // max(1, self.features.shape[1])))
        for start in range(0, len(self.labels), step):
            yield slice(start, start + step)

    def mean(self) -> Any:
        """Mean of each feature, (f,) float64."""
        total = sum(to_float64(self.features[part]).sum(0) for part in self.chunks())
        return total / len(self.labels)

    def shape(self) -> dict[str, int]:
        """Numbers of rows and features, for the Record."""
        return {"rows": len(self.labels), "features": int(self.features.shape[1])}


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
    """Of the files of large tables."""
    device: "torch.device | None" = None
    """Where features are held; None: in memory, or in a file."""

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
        finite = namespace(matrix.features).isfinite
        if not all(finite(matrix.features[part]).all() for part in matrix.chunks()):
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
        features: Any = protein_features(self.embedder, chains, split)
        if self.device is not None:
            table = self._table(*features.shape)
            table[:] = like(features, table)
            features = table
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
        table = self._table(len(rows), self.embedder.backbone.residue_dim)
        start = 0
        for residues, (_, part) in zip(embedded, sampled, strict=True):
            table[start : start + len(part)] = like(residues[part], table)
            start += len(part)
        return DesignMatrix(table, labels[rows], np.ones(len(rows)))

    def _table(self, rows: int, columns: int) -> Any:
        return new_table(rows, columns, self.folder, self.device)

    def _pairs(self, examples: Sequence[Example], split: str) -> DesignMatrix:
        """All pairs in class 1, and a sample of class 0 weighted to represent all of it."""
        if len(examples) > self.max_chains:
            rows = np.sort(self.rng.choice(len(examples), self.max_chains, replace=False))
            examples = [examples[row] for row in rows.tolist()]
        embedded = residue_features(self.embedder, [example.chains for example in examples], split)
        first, most = self.readout.first_separation, self.pairs_per_chain
        samples = [
            sample_pairs(pair_labels(e, first), len(e.chains[0]), first, most, self.rng)
            for e in examples
        ]
        labels = np.concatenate([sample.contacts for sample in samples]).astype(np.int64)
        if not len(labels):
            raise unanswered(split)
        width = 3 * self.embedder.backbone.residue_dim + len(SEPARATIONS)
        table = self._table(len(labels), width)
        step = max(1, NUMBERS // 16 // width)
        done = 0
        for residues, sample in zip(embedded, samples, strict=True):
            vectors = like(residues, table)
            for start in range(0, len(sample.i), step):
                i, j = sample.i[start : start + step], sample.j[start : start + step]
                write_pair_features(table[done : done + len(i)], vectors, i, j)
                done += len(i)
        return DesignMatrix(table, labels, np.concatenate([sample.weights for sample in samples]))


def unanswered(split: str) -> UserError:
    """The error for a split without any known answer."""
    return UserError(
        f"no example of {split} has a known answer; a probe needs labels to learn from"
    )

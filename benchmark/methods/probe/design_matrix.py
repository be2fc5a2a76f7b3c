"""Training rows of a probe, spooled to disk: memory stays flat however many chains there are."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmark.core import Array, Backbone, Example, Readout, UserError
from benchmark.embedding.features import pair_features, protein_features, read_by, residue_features

CHUNK = 16_384
"""Rows worked on at a time."""
NOTHING = np.empty((0, 1), np.float32)


class Rows(NamedTuple):
    """Features (n, f) float32, answers (n,) or (n, size), and weights (n,) to learn from."""

    features: NDArray[np.float32]
    answers: Array
    weights: NDArray[np.float64]

    def chunks(self) -> Iterator[slice]:
        """Slices that cover the rows."""
        for start in range(0, len(self.answers), CHUNK):
            yield slice(start, start + CHUNK)


class MemmapTable:
    """A table that grows on disk and is read back as a memory map; gone with its folder."""

    def __init__(self, folder: Path) -> None:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            self._path = Path(file.name)
        self._file = self._path.open("wb")
        self._columns = 0

    def __enter__(self) -> "MemmapTable":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, rows: NDArray[np.float32]) -> None:
        """Write rows, (n, f)."""
        self._columns = rows.shape[1]
        self._file.write(np.ascontiguousarray(rows, np.float32).data)

    def table(self) -> NDArray[np.float32]:
        """All rows, writable; to be read when writing has ended."""
        table: NDArray[np.float32] = np.memmap(self._path, np.float32, "r+")
        return table.reshape(-1, self._columns)


def known(answers: Array, readout: Readout) -> Array:
    """Which rows have an answer; of several labels at least one."""
    mask = np.asarray(~np.isnan(answers) if readout.kind == "regression" else answers != -1)
    return mask if mask.ndim == 1 else np.asarray(mask.any(axis=-1))


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Embeds examples and keeps the rows whose answers are known, or a seeded sample of them."""

    backbone: Backbone
    readout: Readout
    max_residues: int
    max_chains: int
    pairs_per_chain: int
    rng: np.random.Generator
    folder: Path

    def rows(self, examples: Sequence[Example], what: str) -> Rows:
        """Rows to learn from; `what` names the split to the user."""
        if not examples:
            raise UserError(f"the task has no {what} examples; a probe needs some to learn from")
        levels = {"residue": self._residues, "pair": self._pairs}
        rows = levels.get(self.readout.level, self._proteins)(examples, what)
        if not len(rows.answers):
            raise UserError(
                f"no example of {what} has a known answer; a probe needs labels to learn from"
            )
        if not all(np.isfinite(rows.features[part]).all() for part in rows.chunks()):
            raise UserError("the backbone gives embeddings that are not finite; try dtype=float32")
        return rows

    def _proteins(self, examples: Sequence[Example], what: str) -> Rows:
        answers = np.stack([np.asarray(example.label) for example in examples])
        use = np.flatnonzero(known(answers, self.readout))
        if not len(use):
            return Rows(NOTHING, answers[use], np.ones(0))
        chosen = [examples[row].chains for row in use.tolist()]
        read = read_by(self.backbone, self.readout, chosen)
        features = protein_features(self.backbone, read, what)
        return Rows(features, answers[use], np.ones(len(use)))

    def _residues(self, examples: Sequence[Example], what: str) -> Rows:
        answers = np.concatenate([np.asarray(example.label) for example in examples])
        use = np.flatnonzero(known(answers, self.readout))
        if len(use) > self.max_residues:
            use = np.sort(self.rng.choice(use, self.max_residues, replace=False))
        if not len(use):
            return Rows(NOTHING, answers[use], np.ones(0))
        starts = np.cumsum([0, *(len(example.chains[0]) for example in examples)])
        shares = np.split(use, np.searchsorted(use, starts[1:-1]))
        chosen = [
            (example.chains, rows - start)
            for example, rows, start in zip(examples, shares, starts[:-1], strict=True)
            if len(rows)
        ]
        embedded = residue_features(self.backbone, [chains for chains, _ in chosen], what)
        with MemmapTable(self.folder) as spool:
            for residues, (_, rows) in zip(embedded, chosen, strict=True):
                spool.append(residues[rows])
        return Rows(spool.table(), answers[use], np.ones(len(use)))

    def _pairs(self, examples: Sequence[Example], what: str) -> Rows:
        """All pairs in class 1, and a sample of the others weighted to stand for all of them."""
        if len(examples) > self.max_chains:
            rows = np.sort(self.rng.choice(len(examples), self.max_chains, replace=False))
            examples = [examples[row] for row in rows.tolist()]
        answers: list[Array] = []
        weights: list[Array] = []
        embedded = residue_features(self.backbone, [example.chains for example in examples], what)
        with MemmapTable(self.folder) as spool:
            for residues, example in zip(embedded, examples, strict=True):
                i, j = np.triu_indices(len(residues), max(1, self.readout.min_separation))
                touching = np.zeros((len(residues), len(residues)), bool)
                touching[tuple(np.asarray(example.label).T)] = True
                positive = touching[i, j]
                others = np.flatnonzero(~positive)
                count = min(self.pairs_per_chain, len(others))
                drawn = np.sort(self.rng.choice(others, count, replace=False))
                use = np.concatenate([np.flatnonzero(positive), drawn])
                if len(use):
                    spool.append(pair_features(residues, i[use], j[use]))
                    answers.append(positive[use].astype(np.int64))
                    weights.append(np.where(positive[use], 1.0, len(others) / max(1, count)))
        if not answers:
            return Rows(NOTHING, np.empty(0, np.int64), np.ones(0))
        return Rows(spool.table(), np.concatenate(answers), np.concatenate(weights))


def describe(rows: Rows) -> dict[str, Any]:
    """Size of a sample, for the Record."""
    return {"rows": len(rows.answers), "features": int(rows.features.shape[1])}

"""Baselines without training: sequence encodings and k-mer counts."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Literal

import numpy as np

from benchmark.core import RESIDUE_INDEX, RESIDUES, Backbone, Float32, UserError
from benchmark.data.digests import digest


def encoding_table(name: Literal["onehot", "blosum62"]) -> Float32:
    """A row for each of the 20 residues, and one of zeros for other letters, (21, 20)."""
    table = np.zeros((len(RESIDUES) + 1, len(RESIDUES)), np.float32)
    if name == "onehot":
        table[:-1] = np.eye(len(RESIDUES))
    else:
        from biotite.sequence.align import SubstitutionMatrix

        scores = SubstitutionMatrix.std_protein_matrix()  # BLOSUM62
        table[:-1] = [[scores.get_score(a, b) for b in RESIDUES] for a in RESIDUES]
    return table


@dataclass
class Window(Backbone):
    """Each residue as the concatenated encodings of the `width` residues around it.

    The encoding is zero beyond the ends and for other letters. A protein is the mean over residues.
    """

    VERSION = 1
    encoding: Literal["onehot", "blosum62"]
    width: int
    stored = False

    def __post_init__(self) -> None:
        if self.encoding not in ("onehot", "blosum62"):
            raise UserError(f"encoding={self.encoding} is not known; allowed: onehot, blosum62")
        if type(self.width) is not int or self.width < 1:
            raise UserError(f"width={self.width} is not allowed; give a number of residues")
        self.residue_dim = self.protein_dim = self.width * len(RESIDUES)
        self._table = encoding_table(self.encoding)

    @property
    def digest(self) -> str:
        """Digest of the settings and the table."""
        return digest(type(self).__name__, repr(asdict(self)), self._table.tobytes())

    def embed_residues(self, chains: Sequence[str]) -> list[Float32]:
        """(L, width x 20) for each chain."""
        half, outside = self.width // 2, len(RESIDUES)
        rows = []
        for chain in chains:
            codes = np.array([RESIDUE_INDEX.get(residue, outside) for residue in chain])
            padded = np.pad(codes, (half, self.width - 1 - half), constant_values=outside)
            windows = np.lib.stride_tricks.sliding_window_view(padded, self.width)
            rows.append(self._table[windows].reshape(len(chain), -1))
        return rows

    def embed_proteins(self, chains: Sequence[str]) -> Float32:
        """Mean over residues, (n, width x 20)."""
        return np.stack([rows.mean(axis=0) for rows in self.embed_residues(chains)])


@dataclass
class Kmer(Backbone):
    """A protein as the frequencies of its k-mers up to length `k`, and its log length."""

    VERSION = 1
    k: int
    stored = False

    def __post_init__(self) -> None:
        words = [
            "".join(word) for k in range(1, self.k + 1) for word in product(RESIDUES, repeat=k)
        ]
        self._column = {word: column for column, word in enumerate(words)}
        self.protein_dim = len(words) + 1

    @property
    def digest(self) -> str:
        """Digest of the settings."""
        return digest(type(self).__name__, repr(asdict(self)))

    def embed_proteins(self, chains: Sequence[str]) -> Float32:
        """Frequencies for each k, then log length: (n, 20 + 400 + ... + 1)."""
        rows = np.zeros((len(chains), self.protein_dim), np.float32)
        for row, chain in zip(rows, chains, strict=True):
            for k in range(1, self.k + 1):
                share = 1 / max(1, len(chain) - k + 1)
                for start in range(len(chain) - k + 1):
                    column = self._column.get(chain[start : start + k])
                    if column is not None:
                        row[column] += share
            row[-1] = np.log(len(chain))
        return rows

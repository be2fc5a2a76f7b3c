"""The judge of generated sequences: a language model's likelihoods, embeddings and structure.

One process judges: nothing here is divided among several.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from benchmark.core import (
    Array,
    Backbone,
    EmbeddingCache,
    Level,
    Readout,
    UserError,
)
from benchmark.embedding.batching import map_batches
from benchmark.embedding.extraction import read_or_embed
from benchmark.embedding.features import check_lengths
from benchmark.methods.likelihood import SCORES

POSITIONS = 16
"""Scored positions of a chain, for a masked judge."""
STATES = ("GHI", "EB", "STC")
"""DSSP's states of helix, strand and coil."""
PROBE_CHAINS = 100
"""Training chains of the probe, which has 16,000 residues with them."""
PENALTY = 1e-3
"""Inverse of the strength of the probe's penalty, scikit-learn's C."""


@dataclass(frozen=True)
class LanguageModelJudge:
    """A judge (`benchmark.core.Judge`) with a backbone, and with its stored embeddings."""

    name: str
    backbone: Backbone
    caches: Mapping[Level, EmbeddingCache] = field(default_factory=dict)

    @cached_property
    def readout(self) -> Readout:
        """Which residues are scored, and given what."""
        if "causal_log_probs" in self.backbone.abilities:
            return Readout("residue", "likelihood", context="left")
        if "masked_log_probs" not in self.backbone.abilities:
            raise UserError(
                f"task.judge={self.name} is no language model with its head; choose another model"
            )
        return Readout("residue", "likelihood", context="both", positions=POSITIONS)

    def likelihoods(self, chains: Sequence[str]) -> tuple[Array, Array]:
        """Mean natural-log likelihood of the scored residues of each chain, and their number."""
        positions = self.readout.scored_positions
        score = SCORES["causal" if self.readout.context == "left" else "masked"]
        check_lengths(self.backbone, chains)
        found = list(map_batches(partial(score, self.backbone, positions), chains, self.backbone))
        return np.array([values.mean() for values in found]), np.array([*map(len, found)])

    def embeddings(self, chains: Sequence[str]) -> Array | None:
        """The protein's vector of each chain, (n, d)."""
        return np.stack(list(self._vectors("protein", chains))) if self.embeds else None

    @property
    def embeds(self) -> bool:
        """Whether its model has embeddings."""
        return {"protein_embeddings", "residue_embeddings"} <= self.backbone.abilities

    def structure(self, chains: Sequence[str]) -> Array | None:
        """Mean probabilities of helix, strand and coil over each chain's residues, (n, 3)."""
        if not self.embeds:
            return None
        from scipy.special import softmax

        weights, bias = self.probe
        return np.stack(
            [softmax(v @ weights + bias, axis=-1).mean(0) for v in self._vectors("residue", chains)]
        )

    @cached_property
    def probe(self) -> tuple[Array, Array]:
        """Logistic regression on the standardised embeddings of pocket_ss8's training residues.

        Returns weights (d, 3) and bias (3,) for embeddings as they are.
        """
        import pyarrow.parquet as pq
        from sklearn.linear_model import LogisticRegression

        from benchmark.pocket import FOLDER

        table = pq.read_table(FOLDER / "structure.parquet", filters=[("split", "=", "train")])
        table = table.slice(0, PROBE_CHAINS)  # in random order
        state = {letter: at for at, letters in enumerate(STATES) for letter in letters}
        labels = [state[letter] for states in table["ss8"].to_pylist() for letter in states]
        vectors = np.concatenate(list(self._vectors("residue", table["seq"].to_pylist())))
        mean, scale = vectors.mean(0), vectors.std(0) + 1e-6
        model = LogisticRegression(C=PENALTY, max_iter=200).fit((vectors - mean) / scale, labels)
        weights = (model.coef_ / scale).T
        return weights, model.intercept_ - mean @ weights

    def _vectors(self, level: Level, chains: Sequence[str]) -> Iterator[Array]:
        check_lengths(self.backbone, chains)
        start = partial(self.backbone.start, level)
        return read_or_embed(start, self.backbone, self.caches.get(level), chains)

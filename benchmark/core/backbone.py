"""What a protein language model can do, and the cache of its embeddings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.core.answers import RESIDUE_INDEX, RESIDUES, Float32, Level
from benchmark.core.errors import UserError
from benchmark.core.sampling import Sampled, Sampling

Ability = Literal[
    "residue_embeddings", "protein_embeddings", "masked_log_probs", "causal_log_probs",
    "attention_maps", "contact_head", "sampling",
]  # fmt: skip
ABILITIES: Mapping[Ability, tuple[str, str]] = {
    "residue_embeddings": ("embed_residues", "a vector for each residue"),
    "protein_embeddings": ("embed_proteins", "one vector for each protein"),
    "masked_log_probs": ("masked_log_probs", "masked log-probabilities"),
    "causal_log_probs": ("causal_log_probs", "causal log-probabilities"),
    "attention_maps": ("attentions", "attention maps"),
    "contact_head": ("contacts", "a trained contact head"),
    "sampling": ("sample", "sampling of new chains"),
}
"""Ability -> its method, and what an error message calls it."""


class EmbeddingCache(Protocol):
    """Embeddings of one backbone and level that are stored between runs, by sequence.

    `found` vectors were read, `embedded` ones were computed and added.
    """

    found: int
    embedded: int

    def verify(self, embed: Callable[[Sequence[str]], Sequence[Float32]], dtype: str) -> None:
        """After a change of code or libraries, check that `embed` reproduces stored vectors."""

    def __contains__(self, chain: str) -> bool: ...

    def get(self, chain: str) -> Float32 | None:
        """The vector, bit for bit as it was stored."""

    def put(self, chains: Sequence[str], vectors: Sequence[Float32]) -> list[Float32]:
        """Store new vectors; return them, or those that another process stored first."""


def lacks(backbone: "Backbone", ability: Ability, reason: str = "this call") -> UserError:
    """The error for a missing ability."""
    why = f" ({backbone.limits})" if backbone.limits else ""
    return UserError(
        f"{reason} needs {ABILITIES[ability][1]}; the backbone {type(backbone).__name__} has none"
        f"{why}; choose another model, or another method"
    )


class Backbone(ABC):
    """A protein language model, as the rest of the benchmark sees it. It never sees a task.

    A subclass overrides the methods of its abilities. An ability exists only if every weight that
    it uses came from the checkpoint.
    """

    VERSION: ClassVar[int] = 0
    """Of the family; raised by hand when a change of its code changes outputs."""
    dtype: str = "float32"
    batch_tokens: int = 4096
    """Residues in one batch, including padding; lowered when memory does not suffice."""
    max_length: int | None = None
    """Longest chain that the model accepts, in residues; None: no limit."""
    limits: str = ""
    """Why it lacks abilities that others of its class have, for error messages."""
    stored: bool = True
    """Whether embeddings are worth storing: computing them takes longer than reading them."""
    linker: str = "G" * 25
    """Put between chains that are embedded as one: ESMFold's poly-glycine (Lin et al. 2023)."""
    residue_dim: int
    protein_dim: int

    @property
    @abstractmethod
    def digest(self) -> str:
        """Digest of what determines the outputs besides the settings: weights, tokenizer."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """What this model can do: the methods that its class overrides."""
        names = ((ability, name) for ability, (name, _) in ABILITIES.items())
        return frozenset(a for a, n in names if getattr(type(self), n) is not getattr(Backbone, n))

    def require(self, ability: Ability, reason: str) -> None:
        """Raise a UserError if the model lacks an ability; `reason` names what needs it."""
        if ability not in self.abilities:
            raise lacks(self, ability, reason)

    def embed_residues(self, chains: Sequence[str]) -> list[Float32]:
        """Embed one batch: (L, residue_dim) for each chain, without padding or special tokens."""
        raise lacks(self, "residue_embeddings")

    def embed_proteins(self, chains: Sequence[str]) -> Float32:
        """Embed one batch: (n, protein_dim)."""
        raise lacks(self, "protein_embeddings")

    def start(self, level: Level, chains: Sequence[str]) -> Callable[[], Sequence[Float32]]:
        """Start to embed one batch at a level; the function returned waits for the vectors.

        A backbone may copy the vectors of one batch while it computes the next.
        """
        embed: Callable[..., Any] = (
            self.embed_residues if level == "residue" else self.embed_proteins
        )
        rows = list(embed(chains))
        return lambda: rows

    def masked_log_probs(self, chains: Sequence[str]) -> list[Float32]:
        """Natural-log probabilities of `RESIDUES`, (L, 20) for each chain, from both sides.

        A residue written `MASK` is hidden from the model; any other is visible to it, also at its
        own position (the wild-type marginal).
        """
        raise lacks(self, "masked_log_probs")

    def causal_log_probs(self, chains: Sequence[str]) -> list[Float32]:
        """Natural-log probabilities of `RESIDUES`, (L, 20) for each chain, from what precedes."""
        raise lacks(self, "causal_log_probs")

    def log_likelihoods(self, chains: Sequence[str]) -> NDArray[np.float64]:
        """Mean natural-log likelihood of a residue of each chain, as the authors score it, (n,).

        By default over `RESIDUES` alone.
        """
        means = []
        for chain, table in zip(chains, self.causal_log_probs(chains), strict=True):
            known = [(row, RESIDUE_INDEX[c]) for row, c in enumerate(chain) if c in RESIDUES]
            means.append(np.mean([table[at] for at in known], dtype=np.float64))
        return np.array(means)

    def attentions(self, chains: Sequence[str]) -> list[Float32]:
        """Attention maps, (layers x heads, L, L) for each chain; row attends to column."""
        raise lacks(self, "attention_maps")

    def contacts(self, chains: Sequence[str]) -> list[Float32]:
        """Contact probabilities by the checkpoint's own head, (L, L) for each chain, symmetric."""
        raise lacks(self, "contact_head")

    def sample(
        self, prompts: Sequence[str], settings: Sampling, seeds: Sequence[int]
    ) -> list[Sampled]:
        """Continue each prompt (first residues, or "") until the model ends it.

        Batches are its own affair. A chain depends, except for rounding, on its prompt, the
        settings and its seed alone, and on a CPU the same call gives the same bytes.
        """
        raise lacks(self, "sampling")

    def facts(self) -> Mapping[str, Any]:
        """What the Record stores about the model: parameters, revision, and the like."""
        return {}

    def usage(self) -> Mapping[str, int]:
        """Running totals of the work since the model was opened; empty if not counted.

        `forward_flops`, `backward_flops`; `chains`, `tokens` and `padding_tokens` processed.
        """
        return {}

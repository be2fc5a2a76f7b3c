"""What a backbone offers: abilities that it declares, and where vectors are kept."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from benchmark.core.answers import Level


class EmbeddingCache(Protocol):
    """Vectors of one backbone and level that are kept between runs, by sequence."""

    found: int
    """Vectors that were read."""
    embedded: int
    """Vectors that were not there before."""

    def verify(
        self, embed: Callable[[Sequence[str]], Sequence[NDArray[np.float32]]], dtype: str
    ) -> None:
        """Try whether `embed` gives what is stored, after a change of code or libraries."""
        ...

    def __contains__(self, chain: str) -> bool: ...

    def get(self, chain: str) -> NDArray[np.float32] | None:
        """The vector, bit for bit as it was kept."""
        ...

    def put(
        self, chains: Sequence[str], vectors: Sequence[NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Keep new vectors; where another run was first, its own come back and are to be used."""
        ...


class Backbone(ABC):
    """A protein language model, as the rest of the benchmark sees it. It never sees a task.

    What it can do is declared by the protocols below. An ability exists only if every weight that
    it uses came from the checkpoint.
    """

    VERSION: ClassVar[int] = 0
    """Of the family; raised by hand when a change of its code moves what it gives."""
    dtype: str = "float32"
    batch_tokens: int = 4096
    """Residues in one batch, padding counted; lowered when memory does not suffice."""
    max_length: int | None = None
    """Longest chain that can be read, in residues; None: no limit."""
    stored: bool = True
    """Whether embedding takes longer than reading back what was embedded before."""
    store: Mapping[Level, EmbeddingCache] | None = None
    """Where its vectors are kept between runs; set by a run whose method leaves it as it is."""
    linker: str = "G" * 25
    """What stands between chains that are read as one: ESMFold's poly-glycine (Lin et al. 2023)."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Digest of what decides the outputs besides the settings: weights, tokenizer."""

    def facts(self) -> Mapping[str, Any]:
        """What the Record tells of the backbone: parameters, revision, and the like."""
        return {}

    def usage(self) -> Mapping[str, int]:
        """What its work has cost since it was made, by running totals; empty if none are kept.

        `forward_flops`, `backward_flops`; `chains` and `tokens` that passed, `padding_tokens`.
        """
        return {}


@runtime_checkable
class ResidueEmbeddings(Protocol):
    """Ability: a vector for each residue."""

    residue_dim: int

    def embed_residues(self, chains: Sequence[str]) -> list[NDArray[np.float32]]:
        """Embed one batch: (L, residue_dim) for each chain, without padding or special tokens."""
        ...


@runtime_checkable
class ProteinEmbeddings(Protocol):
    """Ability: a vector for each chain."""

    protein_dim: int

    def embed_proteins(self, chains: Sequence[str]) -> NDArray[np.float32]:
        """Embed one batch: (n, protein_dim)."""
        ...


@runtime_checkable
class MaskedLogProbs(Protocol):
    """Ability: what is expected at each position, seeing both sides of it."""

    def masked_log_probs(self, chains: Sequence[str]) -> list[NDArray[np.float32]]:
        """Score one batch: natural-log probabilities of `RESIDUES`, (L, 20), that sum to 1.

        A residue written `MASK` is hidden from the model; one that is written out is seen, also
        where its own row is read (the wild-type marginal).
        """
        ...


@runtime_checkable
class CausalLogProbs(Protocol):
    """Ability: what is expected at each position, seeing what stands before it."""

    def causal_log_probs(self, chains: Sequence[str]) -> list[NDArray[np.float32]]:
        """Score one batch: natural-log probabilities of `RESIDUES`, (L, 20), that sum to 1."""
        ...

    def log_likelihoods(self, chains: Sequence[str]) -> NDArray[np.float64]:
        """Mean natural-log likelihood of a residue of each chain, as the authors score it, (n,)."""
        ...


@runtime_checkable
class Attentions(Protocol):
    """Ability: the attention maps of every layer and head."""

    def attentions(self, chains: Sequence[str]) -> list[NDArray[np.float32]]:
        """Map one batch: (layers x heads, L, L) for each chain, row attends to column."""
        ...


@runtime_checkable
class ContactHead(Protocol):
    """Ability: contact probabilities by the checkpoint's own trained head."""

    def contacts(self, chains: Sequence[str]) -> list[NDArray[np.float32]]:
        """Predict one batch: probabilities (L, L), symmetric."""
        ...


@runtime_checkable
class Sampling(Protocol):
    """Ability: new chains, drawn residue by residue."""

    def sample(
        self,
        prompts: Sequence[str],
        *,
        max_length: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> list[str]:
        """Continue each prompt (first residues, or "") until the model ends it.

        max_length: residues, the prompt's among them.
        """
        ...

"""The nouns of the benchmark: what a task asks, what a backbone offers, what a method learns.

`task.load() -> method.fit(backbone, readout, train, valid) -> predict(test) -> metrics -> Record`.
This module imports nothing of ours and no numerical library but NumPy.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import shake_256
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"
"""The 20 standard amino acids, in the order of every residue axis in this package."""

MASK = "_"
"""Stands for a hidden residue in a chain that a masked language model is asked about."""

Array = NDArray[Any]
Chains = tuple[str, ...]
"""One question: the amino-acid sequence of each chain."""
Value = Array | str
"""A label or a prediction; `Readout` gives its shape."""
Level = Literal["protein", "residue"]
"""What an embedding is of."""
Kind = Literal["real", "class", "labels", "log_prob"]
Area = Literal["structure", "function", "interaction", "developability", "generation"]


class UserError(ValueError):
    """Something the user can fix, told in one sentence that the command line prints."""


class Example(NamedTuple):
    """One question and its answer.

    An unknown answer is NaN where answers are real and -1 where they are classes or labels: it is
    never trained on and never scored.
    """

    chains: Chains
    label: Value
    id: str
    """Digest of the chains and how often they occurred before: pairs the rows of two runs."""
    group: str
    """The unit that is resampled, and never split (a homology cluster, say)."""


class Splits(NamedTuple):
    """The examples to learn from, to choose by, and to be scored on once."""

    train: Sequence[Example]
    valid: Sequence[Example]
    tests: Mapping[str, Sequence[Example]]
    """Test sets by name; the first one ranks."""
    notes: Mapping[str, Any]
    """For the Record: source, revision, counts of changed rows, where valid is from."""
    learn: Mapping[str, tuple[Sequence[Example], Sequence[Example]]] = MappingProxyType({})
    """Test set -> its own train and valid, where it has any (cross-validation)."""
    means: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    """Mean -> weight of each test set in it, of sum 1. The first mean ranks, if there is one."""


@dataclass(frozen=True)
class Readout:
    """The form of an answer.

    | level | label | prediction |
    |---|---|---|
    | protein | () | () |
    | variant | () of the first chain; the second is its wild type | () |
    | residue | (L,) | (L,) |
    | pair | (m, 2): the pairs i < j, 0-based, that are in class 1 | (L, L), symmetric |

    By kind: "real" is one number; "class" is one of `size`, its prediction has a last axis of
    `size` probabilities, or is the probability of class 1 alone where `size` is 2; "labels" is any
    of `size`, label and prediction have a last axis of `size`. "log_prob" asks how likely each
    residue is among `RESIDUES`, as natural logarithm: of a language model itself, for there is
    nothing to learn from. Its label is 0 at `asked` residues and NaN elsewhere, where the
    prediction is NaN, too.
    """

    level: Literal["protein", "variant", "residue", "pair"]
    kind: Kind
    size: int = 1
    min_separation: int = 0
    """Pairs are asked about only where j - i is at least this, in residues."""
    chains: Literal["apart", "joined"] = "apart"
    """Several chains: each is embedded alone, or all as one string with the backbone's linker."""
    context: Literal["left", "both"] | None = None
    """What of a chain a `log_prob` may see: the residues before, or all others."""
    positions: int | None = None
    """Residues of a chain that a `log_prob` is asked of, at most; None: all."""

    def __post_init__(self) -> None:
        kinds = set(get_args(Kind))
        if self.kind not in kinds:
            raise UserError(
                f"kind={self.kind} is not known; allowed are {', '.join(sorted(kinds))}"
            )
        if self.chains not in ("apart", "joined"):
            raise UserError(f"chains={self.chains} is not known; allowed are apart, joined")
        least = {"class": 2}.get(self.kind, 1)
        if (
            type(self.size) is not int
            or self.size < least
            or (self.kind in ("real", "log_prob")) > (self.size == 1)
        ):
            raise UserError(
                f"size={self.size} does not fit kind={self.kind}; a class has 2 or more, "
                "labels 1 or more, a real answer is 1"
            )
        whole = self.level == "residue" and self.context in ("left", "both")
        if (self.kind == "log_prob") != whole:
            raise UserError(
                f"kind={self.kind} with context={self.context} cannot be asked of a {self.level}; "
                "a log_prob is a residue's, with context=left or both"
            )
        if self.positions is not None and (type(self.positions) is not int or self.positions < 1):
            raise UserError(f"positions={self.positions} is not allowed; give 1 or more, or null")

    @property
    def width(self) -> int:
        """Numbers per answer in a prediction: 1 means that there is no last axis."""
        return 1 if self.kind == "class" and self.size == 2 else self.size

    def asked(self, chain: str) -> NDArray[np.intp]:
        """Which residues a `log_prob` is asked of, counted from 0, ascending.

        Letters beyond the 20 never; of the others `positions` by a digest of the chain, so that
        every model is asked the same, and a larger number asks the same ones and more.
        """
        known = np.array([at for at, letter in enumerate(chain) if letter in RESIDUES], np.intp)
        if self.positions is None:
            return known
        lots = np.frombuffer(shake_256(chain.encode()).digest(8 * len(chain)), "<u8")
        return np.sort(known[np.argsort(lots[known], kind="stable")[: self.positions]])


Scorer = Callable[[Sequence[Value], Sequence[Value], Array], Array]


@dataclass(frozen=True)
class Metric:
    """A score over a whole test set, and which way is up.

    `fn(predictions, labels, weights)`: `weights` are counts of shape (R, n), how often each of the
    n examples occurs in each of R resamples; R scores come back. Ones give the plain score. A
    resample in which the score is undefined gives NaN.
    """

    name: str
    fn: Scorer
    higher_is_better: bool
    version: int | None = None
    """Raised by hand when a change moves scores; None: the digest of its module stands for it."""

    def __call__(
        self, predictions: Sequence[Value], labels: Sequence[Value], weights: Array | None = None
    ) -> Array:
        """Score each resample, shape (R,); without weights the plain score, shape (1,)."""
        if weights is None:
            weights = np.ones((1, len(labels)), dtype=np.int64)
        return self.fn(predictions, labels, weights)


def metric(*, higher_is_better: bool, version: int | None = None) -> Callable[[Scorer], Metric]:
    """Make a metric of a function; the function's name is the metric's."""
    return lambda fn: Metric(getattr(fn, "__name__", ""), fn, higher_is_better, version)


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """A question with known answers: labelled proteins, and how predictions of them are scored."""

    VERSION: ClassVar[int] = 0
    """Of the kind of task; raised by hand when a change of its code moves scores."""
    area: Area
    version: int
    """Raised whenever data or scoring change; tables never mix versions."""
    metrics: Sequence[str]
    """Names of metrics (`benchmark.metrics.find`); the first ranks the leaderboard."""

    def __post_init__(self) -> None:
        if self.area not in get_args(Area):
            raise UserError(
                f"area={self.area} is not known; allowed are {', '.join(get_args(Area))}"
            )
        if type(self.version) is not int:
            raise UserError(f"version={self.version} is not a whole number")
        whole = not isinstance(self.metrics, str) and all(isinstance(m, str) for m in self.metrics)
        if not self.metrics or not whole:
            raise UserError(f"metrics={self.metrics} is not a list of names; the first one ranks")

    @property
    @abstractmethod
    def readout(self) -> Readout:
        """The form of this task's answers."""

    @abstractmethod
    def load(self) -> Splits:
        """Read the examples."""

    def keep(self, prediction: Value) -> Value:
        """What of a prediction is scored and stored: all of it, unless the kind says otherwise."""
        return prediction

    def rows(self, example: Example, kept: Value) -> Mapping[str, Any]:
        """One example's columns in the table of predictions."""
        return {"label": np.asarray(example.label), "prediction": kept}

    def restore(self, row: Mapping[str, Any]) -> Value:
        """What was kept of a prediction, from its columns in the table of predictions."""
        return np.asarray(row["prediction"])


class Shelf(Protocol):
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
    store: Mapping[Level, Shelf] | None = None
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

    def spent(self) -> Mapping[str, int]:
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


class Predictor(NamedTuple):
    """What a method has learned."""

    predict: Callable[[Sequence[Chains]], Iterable[Value]]
    """Answers in the order of the questions. It is never shown a label."""
    choices: Mapping[str, Any]
    """What was chosen on valid and what was sampled, for the Record."""


class Method(ABC):
    """A way for a backbone to learn a task: a linear probe, LoRA, zero-shot scoring, sampling."""

    VERSION: ClassVar[int] = 0
    """Raised by hand when a change of its code moves predictions."""
    frozen: bool = False
    """Whether `fit` leaves the backbone as its checkpoint made it; only then is there a store."""
    log_probs: bool = False
    """Whether it answers a "log_prob": with what the backbone itself expects, nothing learned."""

    @abstractmethod
    def fit(
        self,
        backbone: Backbone,
        readout: Readout,
        train: Sequence[Example],
        valid: Sequence[Example],
        seed: int,
        folder: Path | None = None,
    ) -> Predictor:
        """Learn from `train`, choose by `valid`. The same seed gives the same bits on a CPU.

        It is called once for each fold of a cross-validated task, with one backbone: whatever it
        changes in there, a later call must not see.

        folder: of this fit alone, to be made by whoever writes to it: there a killed fit may keep
            what it goes on from, and a finished one what it learned. None: nothing is kept.
        """

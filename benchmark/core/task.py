"""A task, its examples by split, and the report on how they were made."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, get_args

import numpy as np

from benchmark.core.answers import Array, Example, Readout, Value
from benchmark.core.errors import UserError

Area = Literal[
    "structure", "function", "interaction", "developability", "language_modeling", "generation"
]


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """How the examples were made from their source: all that was counted or changed."""

    source: str = ""
    revision: str = ""
    """Commit of the hub's data set."""
    mirror: bool = False
    """Whether a local mirror was read instead of the hub."""
    unit: str = ""
    """Name of the resampling unit."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Split of the source, or test set -> examples."""
    published_sizes: Mapping[str, int] = field(default_factory=dict)
    """Split -> examples as published; empty if the sizes agree."""
    changes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Split -> kind of change -> count; `rows` is the number of rows read."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """What was not read on purpose, in words -> count: rows of the split pred, hidden files."""
    unread_columns: Sequence[str] = ()
    """Columns that no setting of the task names."""
    unread_files: Sequence[str] = ()
    """Files of the source's folder that are not tables."""
    classes: Sequence[str] = ()
    """Words for the classes in the source's labels, in the order of the classes 0, 1, ..."""
    valid: str = ""
    """Where the validation set comes from, if not from the source."""
    aggregate: str = ""
    """What the aggregate score lacks."""
    also_in_train: Mapping[str, int] = field(default_factory=dict)
    """Test set -> examples whose chains equal those of a train example."""
    chains_in_train: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Test set -> number of chains of an example that occur in train -> examples."""
    folds_made_here: Sequence[str] = ()
    """Assays whose source has no folds."""

    def facts(self) -> dict[str, Any]:
        """The report for the Record, without empty values."""
        return {name: value for name, value in asdict(self).items() if value}


class Judge(Protocol):
    """A language model that scores sequences of others. It sees chains, and never a task."""

    def likelihoods(self, chains: Sequence[str]) -> tuple[Array, Array]:
        """Mean natural-log likelihood of the scored residues of each chain, and their number."""

    def embeddings(self, chains: Sequence[str]) -> Array | None:
        """A vector for each chain, (n, d); None: the model has none."""

    def structure(self, chains: Sequence[str]) -> Array | None:
        """Expected shares of helix, strand and coil in each chain, (n, 3); None: no embeddings."""


Clock = Callable[[str], AbstractContextManager[None]]
"""Adds the duration of a block to that of a phase, by its name."""


class Proteins(Protocol):
    """Proteins in which relatives of test examples are searched: a model's training set, say."""

    @property
    def name(self) -> str:
        """Of their file."""

    @property
    def digest(self) -> str:
        """Of their content."""

    def relatives(self, chains: Sequence[str]) -> tuple[Array, Array]:
        """Whether each chain is among them, and identity of the nearest relative; (n,) each.

        Identity is 0 without a relative, and NaN if a chain is too short for the search.
        """


class Splits(NamedTuple):
    """The examples for training, for model selection and for testing."""

    train: Sequence[Example]
    valid: Sequence[Example]
    tests: Mapping[str, Sequence[Example]]
    """Test sets by name; the first one ranks."""
    report: DataReport = DataReport()
    train_valid_by_test: Mapping[str, tuple[Sequence[Example], Sequence[Example]]] = (
        MappingProxyType({})
    )
    """Test set -> its own train and valid (cross-validation)."""
    aggregates: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    """Aggregate score -> weight of each test set in it, of sum 1. The first one, if any, ranks."""
    further: Mapping[str, str] = MappingProxyType({})
    """Digests of further data that scores depend on, by name: a database that is searched."""
    against: Proteins | None = None
    """Where relatives of test examples are searched for identity bands; None: train and valid. No
    score depends on it, so it is in no digest."""

    def learned_from(self, test: str) -> tuple[Sequence[Example], Sequence[Example]]:
        """The train and valid examples that belong to a test set."""
        return self.train_valid_by_test.get(test, (self.train, self.valid))


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """Labelled proteins, and how predictions for them are scored."""

    VERSION: ClassVar[int] = 0
    """Version of the kind of task; raised by hand when a change of its code moves scores."""
    area: Area
    version: int
    """Version of this task; raised when its data or scoring change; tables never mix versions."""
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

    def compact(self, prediction: Value, example: Example) -> Value:
        """The part of a prediction that is scored and stored: all of it by default."""
        return prediction

    def measure(
        self,
        predictions: Sequence[Value],
        examples: Sequence[Example],
        judge: Judge | None,
        clock: Clock,
    ) -> Sequence[Value]:
        """Compact predictions with what models or searches find out about them: as they are.

        Called once for each test set, so that metrics need neither. judge: the model that the
        setting `judge` of the task names, if it has one.
        """
        return predictions

    def stratum(self, prediction: Value, example: Example) -> str:
        """The stratum in which an example is scored as well; "": none."""
        return ""

    def rows(self, example: Example, compact: Value) -> Mapping[str, Any]:
        """One example's columns in the table of predictions, from its compact prediction."""
        return {"label": np.asarray(example.label), "prediction": compact}

    def from_row(self, row: Mapping[str, Any]) -> Value:
        """The compact prediction, from its columns in the table of predictions."""
        return np.asarray(row["prediction"])

"""A question with known answers, and its examples by split."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np

from benchmark.core.answers import Example, Readout, Value
from benchmark.core.errors import UserError

Area = Literal[
    "structure", "function", "interaction", "developability", "language_modeling", "generation"
]


class Splits(NamedTuple):
    """The examples to learn from, to choose by, and to be scored on once."""

    train: Sequence[Example]
    valid: Sequence[Example]
    tests: Mapping[str, Sequence[Example]]
    """Test sets by name; the first one ranks."""
    notes: Mapping[str, Any]
    """For the Record: source, revision, counts of changed rows, where valid is from."""
    train_valid_by_test: Mapping[str, tuple[Sequence[Example], Sequence[Example]]] = (
        MappingProxyType({})
    )
    """Test set -> its own train and valid, where it has any (cross-validation)."""
    aggregates: Mapping[str, Mapping[str, float]] = MappingProxyType({})
    """Mean -> weight of each test set in it, of sum 1. The first mean ranks, if there is one."""


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

    def compact(self, prediction: Value) -> Value:
        """What of a prediction is scored and stored: all of it, unless the kind says otherwise."""
        return prediction

    def rows(self, example: Example, kept: Value) -> Mapping[str, Any]:
        """One example's columns in the table of predictions."""
        return {"label": np.asarray(example.label), "prediction": kept}

    def from_row(self, row: Mapping[str, Any]) -> Value:
        """What was kept of a prediction, from its columns in the table of predictions."""
        return np.asarray(row["prediction"])

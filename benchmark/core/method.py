"""A way to solve a task with a backbone, and the fitted predictor."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from benchmark.core.answers import Chains, Level, Readout, Value
from benchmark.core.backbone import Backbone, EmbeddingCache
from benchmark.core.metric import Examples


class Predictor(NamedTuple):
    """A fitted method."""

    predict: Callable[[Sequence[Chains]], Iterable[Value]]
    """Predictions in the order of the inputs. It never sees a label."""
    choices: Mapping[str, Any]
    """What was selected on valid and what was sampled, for the Record, which reads it after the
    predictions."""


@dataclass(frozen=True)
class FitContext:
    """What a fit works with besides its examples."""

    backbone: Backbone
    readout: Readout
    seed: int
    folder: Path | None = None
    """Where this fit may store its state and weights, created by whoever writes; None: nowhere."""
    caches: Mapping[Level, EmbeddingCache] = field(default_factory=dict)
    """Stored embeddings of the backbone; empty unless the method is `frozen`."""


class Method(ABC):
    """A way to solve a task with a backbone: a linear probe, LoRA, zero-shot scoring, sampling."""

    VERSION: ClassVar[int] = 0
    """Raised by hand when a change of its code changes predictions."""
    frozen: bool = False
    """Whether `fit` leaves the backbone's weights unchanged; only then are embeddings stored."""
    uses_model: bool = True
    """Whether predictions depend on the backbone; else it runs with model=none alone."""
    answers_likelihood: bool = False
    """Whether it solves a "likelihood" task, from the backbone's own probabilities."""
    answers_sequence: bool = False
    """Whether it solves "sequence" tasks, and no others: its predictions are new chains."""

    @abstractmethod
    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Fit on `train`, select on `valid`. The same seed gives the same bits on a CPU.

        Called once for each fold, with one backbone, which each call must leave as it was.
        """

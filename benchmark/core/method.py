"""What learns a task from a backbone, and what it has learned."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from benchmark.core.answers import Chains, Example, Readout, Value
from benchmark.core.backbone import Backbone


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
    answers_likelihood: bool = False
    """Whether it answers a "likelihood" task, from the backbone's own probabilities."""

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

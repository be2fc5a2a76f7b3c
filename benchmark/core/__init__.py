"""The nouns of the benchmark: what a task asks, what a backbone offers, what a method learns.

`task.load() -> method.fit(backbone, readout, train, valid) -> predict(test) -> metrics -> Record`.
It imports nothing of ours and no numerical library but NumPy. All its names are here.
"""

from benchmark.core.answers import (
    MASK,
    OLD_KINDS,
    RESIDUE_INDEX,
    RESIDUES,
    Array,
    Chains,
    Example,
    Kind,
    Level,
    Readout,
    Value,
    contact_map,
    known_answers,
)
from benchmark.core.backbone import Ability, Backbone, EmbeddingCache
from benchmark.core.errors import ExitCode, UserError, unknown
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Metric, Scorer, metric
from benchmark.core.task import Area, DataReport, Splits, Task

__all__ = [
    "MASK",
    "OLD_KINDS",
    "RESIDUES",
    "RESIDUE_INDEX",
    "Ability",
    "Area",
    "Array",
    "Backbone",
    "Chains",
    "DataReport",
    "EmbeddingCache",
    "Example",
    "ExitCode",
    "FitContext",
    "Kind",
    "Level",
    "Method",
    "Metric",
    "Predictor",
    "Readout",
    "Scorer",
    "Splits",
    "Task",
    "UserError",
    "Value",
    "contact_map",
    "known_answers",
    "metric",
    "unknown",
]

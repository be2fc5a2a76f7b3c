"""The nouns of the benchmark: what a task asks, what a backbone offers, what a method learns.

`task.load() -> method.fit(backbone, readout, train, valid) -> predict(test) -> metrics -> Record`.
It imports nothing of ours and no numerical library but NumPy. All its names are here.
"""

from benchmark.core.answers import (
    MASK,
    RESIDUES,
    Array,
    Chains,
    Example,
    Kind,
    Level,
    Readout,
    Value,
    known_answers,
)
from benchmark.core.backbone import (
    Attentions,
    Backbone,
    CausalLogProbs,
    ContactHead,
    MaskedLogProbs,
    ProteinEmbeddings,
    ResidueEmbeddings,
    Sampling,
    Shelf,
)
from benchmark.core.errors import UserError, unknown
from benchmark.core.method import Method, Predictor
from benchmark.core.metric import Metric, Scorer, metric
from benchmark.core.task import Area, Splits, Task

__all__ = [
    "MASK",
    "RESIDUES",
    "Area",
    "Array",
    "Attentions",
    "Backbone",
    "CausalLogProbs",
    "Chains",
    "ContactHead",
    "Example",
    "Kind",
    "Level",
    "MaskedLogProbs",
    "Method",
    "Metric",
    "Predictor",
    "ProteinEmbeddings",
    "Readout",
    "ResidueEmbeddings",
    "Sampling",
    "Scorer",
    "Shelf",
    "Splits",
    "Task",
    "UserError",
    "Value",
    "known_answers",
    "metric",
    "unknown",
]

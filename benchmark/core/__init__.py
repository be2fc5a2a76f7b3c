"""The nouns of the benchmark: what a task asks, what a backbone offers, what a method learns.

`task.load() -> method.fit(backbone, readout, train, valid) -> predict(test) -> metrics -> Record`.
It imports nothing of ours and no numerical library but NumPy. All its names are here.
"""

from benchmark.core.answers import (
    MASK,
    OLD_KINDS,
    RESIDUES,
    Array,
    Chains,
    Example,
    Kind,
    Level,
    Readout,
    Value,
    has_answer,
    known_answers,
)
from benchmark.core.backbone import (
    Attentions,
    Backbone,
    CausalLogProbs,
    ContactHead,
    EmbeddingCache,
    MaskedLogProbs,
    ProteinEmbeddings,
    ResidueEmbeddings,
    Sampling,
)
from benchmark.core.errors import UserError, unknown
from benchmark.core.method import Method, Predictor
from benchmark.core.metric import (
    CorpusMetric,
    ExampleMetric,
    Examples,
    ExampleValues,
    Metric,
    Predictions,
    Scorer,
    SetMetric,
    corpus_metric,
    example_metric,
    metric,
    set_metric,
)
from benchmark.core.task import Area, Splits, Task

__all__ = [
    "MASK",
    "OLD_KINDS",
    "RESIDUES",
    "Area",
    "Array",
    "Attentions",
    "Backbone",
    "CausalLogProbs",
    "Chains",
    "ContactHead",
    "CorpusMetric",
    "EmbeddingCache",
    "Example",
    "ExampleMetric",
    "ExampleValues",
    "Examples",
    "Kind",
    "Level",
    "MaskedLogProbs",
    "Method",
    "Metric",
    "Predictions",
    "Predictor",
    "ProteinEmbeddings",
    "Readout",
    "ResidueEmbeddings",
    "Sampling",
    "Scorer",
    "SetMetric",
    "Splits",
    "Task",
    "UserError",
    "Value",
    "corpus_metric",
    "example_metric",
    "has_answer",
    "known_answers",
    "metric",
    "set_metric",
    "unknown",
]

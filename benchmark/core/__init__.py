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
    Float32,
    Kind,
    Level,
    Readout,
    Value,
    contact_map,
    has_answer,
    known_answers,
    known_pairs,
)
from benchmark.core.backbone import Ability, Backbone, EmbeddingCache, lacks
from benchmark.core.errors import ExitCode, UserError, unknown
from benchmark.core.method import FitContext, Method, Predictor
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
from benchmark.core.sampling import Sampled, Sampling
from benchmark.core.task import Area, Clock, DataReport, Judge, Proteins, Splits, Task

# fmt: off
__all__ = [
    "MASK", "OLD_KINDS", "RESIDUES", "RESIDUE_INDEX", "Ability", "Area", "Array", "Backbone",
    "Chains", "Clock", "CorpusMetric", "DataReport", "EmbeddingCache", "Example", "ExampleMetric",
    "ExampleValues", "Examples", "ExitCode", "FitContext", "Float32", "Judge", "Kind", "Level",
    "Method", "Metric", "Predictions", "Predictor", "Proteins", "Readout", "Sampled", "Sampling",
    "Scorer",
    "SetMetric", "Splits", "Task", "UserError", "Value", "contact_map", "corpus_metric",
    "example_metric", "has_answer", "known_answers", "known_pairs", "lacks", "metric", "set_metric",
    "unknown",
]
# fmt: on

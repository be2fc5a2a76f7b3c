"""The Record of a finished run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 2
WITHOUT_OVERLAP = "without overlap"
"""The stratum of the test examples that are not also in train or valid."""
NO_MODEL = "benchmark.backbones.baselines.none.NoModel"
"""What a method without a model runs with."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished run, self-contained: no table needs the task or the model to read it."""

    task: str
    area: str
    version: int
    model: str
    method: str
    seed: int
    limit: int | None
    key: str
    """Digest of `identity`."""
    primary: str
    higher_is_better: Mapping[str, bool | None]
    scores: Mapping[str, Mapping[str, float]]
    """Test set -> metric -> score; an undefined score is absent."""
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]
    """Test set -> metric -> 95 % interval; absent with fewer than 10 units."""
    examples: Mapping[str, int]
    """Split -> number of examples."""
    scored: Mapping[str, int]
    """Test set -> number of examples with a known answer, all of which are scored."""
    units: Mapping[str, int]
    """Test set -> number of resampling units."""
    data_report: Mapping[str, Any]
    """`benchmark.core.DataReport` without empty values."""
    data: Mapping[str, str]
    """Split -> digest of its content."""
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    """Model and method settings that distinguish table rows."""
    identity: Mapping[str, Any]
    """What determines the scores: settings of task, model and method, dtype, limit, digests of the
    data and of weights and tokenizer, declared versions."""
    choices: Mapping[str, Any]
    backbone: Mapping[str, Any]
    seconds: Mapping[str, float]
    environment: Mapping[str, Any]
    created: str
    """UTC, ISO 8601."""
    strata: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Test set -> stratum -> examples, units, scores, intervals (`benchmark.stats.strata`)."""
    audit: Mapping[str, Any] = field(default_factory=dict)
    """Program and parameters of the audit that defines the identity bands; empty without one."""
    usage: Mapping[str, int] = field(default_factory=dict)
    """Sums over processes: `forward_flops` and `backward_flops` of the backbone; the `chains`,
    `tokens` and `padding_tokens` that it processed; `chains_from_store` (read, not computed) and
    `chains_embedded`; `trained_parameters`. Those of a judge begin with `judge_`. Maxima over
    processes, from their start: `peak_bytes`, `peak_gpu_bytes`. What was not counted is absent."""
    set_sizes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Test set -> set metric -> number of examples that it was computed on."""
    scales: Mapping[str, str] = field(default_factory=dict)
    """Metric -> scale of its intervals (`benchmark.core.metric.Scale`); "identity" where absent."""
    aggregates: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Name of a mean over test sets -> weight of each of them; empty before version 0.4."""
    format: int = FORMAT

    @property
    def scale(self) -> str:
        """That of the intervals of the metric that ranks."""
        return self.scales.get(self.primary, "identity")

    @property
    def model_free(self) -> bool:
        """Whether the method uses no model, as `nearest`."""
        return bool(self.config.get("model", {}).get("_target_") == NO_MODEL)

    @property
    def folder(self) -> Path:
        """Its folder below the results folder, with the Records of all seeds."""
        return Path(f"{self.task}/{self.model}/{self.method}/{self.key}")

    @property
    def path(self) -> Path:
        """Its file below the results folder; its predictions are next to it."""
        return self.folder / f"seed{self.seed}.json"


Interval = tuple[float, float]


def mean_of(record: Record) -> str:
    """How many test sets the ranking score is the mean of, in words; "" if it is of one."""
    test = next(iter(record.scores))
    if test in record.data:
        return ""
    sets = record.aggregates.get(test) or [name for name in record.scores if name in record.data]
    return f"mean of {len(sets)} test sets"


def primary(records: Sequence[Record]) -> tuple[list[float | None], list[Interval | None], str]:
    """Each Record's ranking score and its interval (None: undefined), and the interval's scale."""
    first = [(record, next(iter(record.scores))) for record in records]
    scores = [record.scores[test].get(record.primary) for record, test in first]
    found = [record.intervals[test].get(record.primary) for record, test in first]
    return scores, found, records[-1].scale

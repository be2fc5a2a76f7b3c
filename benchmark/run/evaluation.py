"""The one flow of every run: load, fit, predict, score."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from benchmark.core import (
    Array,
    Backbone,
    EmbeddingCache,
    Example,
    FitContext,
    Level,
    Method,
    Metric,
    Predictor,
    Readout,
    SetMetric,
    Splits,
    Task,
    UserError,
    Value,
    has_answer,
)
from benchmark.stats.bootstrap import Scores, mean, score, unfit

REHEARSED = 5
"""Resamples of the two examples that metrics are tried on; unlike 2, so that shapes differ."""


class Outcome(NamedTuple):
    """What came of one run."""

    tests: dict[str, Scores]
    """Means first, then test sets."""
    choices: Mapping[str, Any]
    seconds: dict[str, float]
    strata: Mapping[str, Any] = {}
    """See `benchmark.stats.strata`."""
    usage: Mapping[str, int] = {}
    """See `benchmark.results.record.Record`."""


def subset(splits: Splits, limit: int | None) -> Splits:
    """At most `limit` examples of each split, the same ones whatever the order of the rows."""
    if limit is None:
        return splits

    def cut(examples: Sequence[Example]) -> list[Example]:
        chosen = {example.id for example in sorted(examples, key=lambda e: e.id)[:limit]}
        return [example for example in examples if example.id in chosen]

    tests = {name: cut(examples) for name, examples in splits.tests.items()}
    learn = {
        name: (cut(train), cut(valid))
        for name, (train, valid) in splits.train_valid_by_test.items()
    }
    return splits._replace(
        train=cut(splits.train), valid=cut(splits.valid), tests=tests, train_valid_by_test=learn
    )


def evaluate(
    task: Task,
    splits: Splits,
    backbone: Backbone,
    method: Method,
    metrics: Sequence[Metric],
    seed: int,
    folder: Path | None = None,
    caches: Mapping[Level, EmbeddingCache] | None = None,
) -> Outcome:
    """Learn from train, choose by valid, then answer and score each test set once.

    folder: where a method may keep what it learned; of a test set with a train set of its own, a
        folder below.
    """
    if task.readout.kind == "likelihood" and not method.answers_likelihood:
        raise UserError(
            "this task asks how likely a language model itself finds residues, which "
            f"{type(method).__name__} does not tell; leave method= out, or give method=zero_shot"
        )
    check_fit(method)
    validate_metrics(task, splits, metrics)
    seconds: dict[str, float] = {}
    choices: dict[str, Any] = {}

    def fit(train: Sequence[Example], valid: Sequence[Example], folder: Path | None) -> Predictor:
        with clock(seconds, "fit"):
            context = FitContext(backbone, task.readout, seed, folder, caches or {})
            predictor = method.fit(train, valid, context)
        if not isinstance(predictor, Predictor):
            raise UserError(f"{type(method).__name__}.fit gave no benchmark.core.Predictor")
        return predictor

    if set(splits.tests) - set(splits.train_valid_by_test):
        predictor = fit(splits.train, splits.valid, folder)
        choices |= predictor.choices
    tests = {}
    for index, (name, examples) in enumerate(splits.tests.items()):
        if name in splits.train_valid_by_test:
            predictor = fit(
                *splits.train_valid_by_test[name], folder and folder / quote(name, safe="")
            )
            choices[name] = dict(predictor.choices)
        with clock(seconds, "predict"):
            kept: list[Value] = []
            for prediction in predictor.predict([example.chains for example in examples]):
                check(prediction, examples[len(kept)], task.readout)
                kept.append(task.compact(prediction))
        if len(kept) != len(examples):
            raise UserError(
                f"{type(method).__name__} gave {len(kept)} predictions for the {len(examples)} "
                f"examples of {name}"
            )
        with clock(seconds, "score"):
            # each set has its own draws: in a mean over sets they must be independent
            tests[name] = score(metrics, kept, examples, task.readout, (seed, index))
    if both := set(splits.aggregates) & set(tests):
        raise UserError(f"a test set is named {min(both)}, as a mean is; give it another name")
    with clock(seconds, "score"):
        means = {
            name: mean(metrics, tests, splits.tests, weights, (seed, len(tests)))
            for name, weights in splits.aggregates.items()
        }
    return Outcome({**means, **tests}, choices, seconds)


def check_fit(method: Method) -> None:
    """Refuse a method whose `fit` has an old signature."""
    try:
        signature(method.fit).bind([], [], None)
    except TypeError:
        raise UserError(
            f"{type(method).__name__}.fit has an old signature; write def fit(self, train, valid, "
            "context), where context has backbone, readout, seed and folder"
        ) from None


def validate_metrics(task: Task, splits: Splits, metrics: Sequence[Metric]) -> None:
    """Refuse, before anything is trained, metrics that cannot score such answers or rank a table.

    Two examples with a known answer are scored, in several resamples.
    """
    names = [metric.name for metric in metrics]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"task.metrics has two metrics named {twice[0]}; rename one of them")
    if metrics[0].higher_is_better is None:
        raise UserError(
            f"task.metrics begins with {names[0]}, which has no direction and cannot rank; begin "
            "with a metric that has one"
        )
    for examples in splits.tests.values():
        few = list(islice((e for e in examples if has_answer(e.label, task.readout)), 2))
        answers = [task.compact(np.zeros(shape(e, task.readout))) for e in few]
        for metric in metrics:
            weights: Array | None = np.ones((REHEARSED, len(few)), np.int64)
            if isinstance(metric, SetMetric):
                metric, weights = replace(metric, size=None), None
            try:
                metric.scores(answers, few, weights)
            except (TypeError, ValueError) as error:
                raise unfit(metric, error) from None


def shape(example: Example, readout: Readout) -> tuple[int, ...]:
    """Of the answer to one question."""
    lengths = tuple(len(chain) for chain in example.chains)
    of_level = {"residue": lengths, "pair": 2 * lengths}.get(readout.level, ())
    return of_level + ((readout.width,) if readout.width > 1 else ())


def check(prediction: Value, example: Example, readout: Readout) -> None:
    """Refuse a prediction that is not of the readout's shape, or not finite where it is asked."""
    values = np.asarray(prediction)
    if values.shape != shape(example, readout):
        raise UserError(
            f"the method gave a prediction of shape {values.shape}, not {shape(example, readout)}"
        )
    if readout.level == "pair":
        values = values[np.triu_indices(len(values), readout.first_separation)]
    if readout.kind == "likelihood":
        values = values[readout.scored_positions(example.chains[0])]
    if not np.isfinite(values).all():
        raise UserError("the predictions are not finite numbers; try dtype=float32")


@contextmanager
def clock(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Add the time a block takes to a phase."""
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start

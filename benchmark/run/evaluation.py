"""Fit a method, predict the test sets, and score them: the same for every run."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from benchmark.core import (
    RESIDUES,
    Example,
    Judge,
    Level,
    Readout,
    Sampled,
    Splits,
    Task,
    UserError,
    Value,
    has_answer,
)
from benchmark.core.backbone import Backbone, EmbeddingCache
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Metric, SetMetric
from benchmark.distributed import rank
from benchmark.progress import about
from benchmark.stats.bootstrap import Scores, mean, score, unfit

TRIED = 5
"""Resamples of the two examples that metrics are tried on; not 2, so that wrong shapes differ."""


class Outcome(NamedTuple):
    """The results of one run."""

    tests: dict[str, Scores]
    """Means first, then test sets."""
    choices: Mapping[str, Any]
    seconds: dict[str, float]
    strata: Mapping[str, Any] = {}
    """See `benchmark.stats.strata`."""
    usage: Mapping[str, int] = {}
    """See `benchmark.results.record.Record`."""


def subset(splits: Splits, limit: int | None) -> Splits:
    """At most `limit` examples of each split, chosen by id, so independent of the row order."""
    if limit is None:
        return splits

    def cut(examples: Sequence[Example]) -> list[Example]:
        chosen = set(sorted(example.id for example in examples)[:limit])
        return [example for example in examples if example.id in chosen]

    own = splits.train_valid_by_test.items()
    return splits._replace(
        train=cut(splits.train),
        valid=cut(splits.valid),
        tests={name: cut(examples) for name, examples in splits.tests.items()},
        train_valid_by_test={name: (cut(train), cut(valid)) for name, (train, valid) in own},
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
    judge: Judge | None = None,
) -> Outcome:
    """Fit on train, select on valid, then predict and score each test set once.

    folder: where a method may store its state and weights; a test set with its own train set has a
        folder in it.
    judge: for tasks that measure predictions with a model.
    Of several processes the first one alone has scores.
    """
    solver = type(method).__name__
    require_kind(task.readout, method, solver)
    check_signatures(task, method)
    validate_metrics(task, splits, metrics)
    seconds: dict[str, float] = {}
    choices: dict[str, Any] = {}

    def fit(train: Sequence[Example], valid: Sequence[Example], folder: Path | None) -> Predictor:
        with clock(seconds, "fit"):
            context = FitContext(backbone, task.readout, seed, folder, caches or {})
            predictor = method.fit(train, valid, context)
        if not isinstance(predictor, Predictor):
            raise UserError(f"{solver}.fit returned no benchmark.core.Predictor; return one")
        return predictor

    own = splits.train_valid_by_test
    if set(splits.tests) - set(own):
        predictor = fit(splits.train, splits.valid, folder)
    tests = {}
    for name, examples in splits.tests.items():
        if name in own:
            predictor = fit(*own[name], folder and folder / quote(name, safe=""))
        with clock(seconds, "predict"), about(name if len(splits.tests) > 1 else ""):
            answers: list[Value] = []
            for prediction in predictor.predict([example.chains for example in examples]):
                if rank():  # this process takes part in embedding, and the first one scores
                    continue
                example = examples[len(answers)]
                check(prediction, example, task.readout)
                answers.append(task.compact(prediction, example))
        choices |= {name: dict(predictor.choices)} if name in own else predictor.choices
        if rank():
            continue
        if len(answers) != len(examples):
            returned = f"{solver} returned {len(answers)} predictions"
            raise UserError(f"{returned} for the {len(examples)} examples of {name}")
        answers = list(task.measure(answers, examples, judge, partial(clock, seconds)))
        with clock(seconds, "score"):
            tests[name] = score(metrics, answers, examples, task.readout, seed)
    if both := set(splits.aggregates) & set(tests):
        raise UserError(f"{min(both)} names a test set and a mean; rename the test set")
    with clock(seconds, "score"):
        aggregates = {} if rank() else splits.aggregates
        means = {name: mean(metrics, tests, weights) for name, weights in aggregates.items()}
    return Outcome({**means, **tests}, choices, seconds)


def require_kind(readout: Readout, method: Method, name: str) -> None:
    """Refuse a task of likelihoods or sequences for a method that does not predict them."""
    if readout.kind == "likelihood" and not method.answers_likelihood:
        raise UserError(
            "this task scores the likelihood of residues by the language model itself, which "
            f"{name} does not predict; omit method=, or give method=zero_shot"
        )
    if readout.kind == "sequence" and not method.answers_sequence:
        raise UserError(
            f"this task scores new chains, which {name} does not make; omit method=, or give "
            "method=sample"
        )
    if method.answers_sequence and readout.kind != "sequence":
        raise UserError(
            f"{name} makes new chains, and the answers of this task are of "
            f"kind={readout.kind}; omit method=, or give task=generation"
        )


def check_signatures(task: Task, method: Method) -> None:
    """Refuse a task or a method whose functions have an old signature."""
    context = "where context has backbone, readout, seed and folder"
    for part, function, given, new in (
        (method, "fit", 3, f"fit(self, train, valid, context), {context}"),
        (task, "compact", 2, "compact(self, prediction, example)"),
    ):
        try:
            signature(getattr(part, function)).bind(*range(given))
        except TypeError:
            name = f"{type(part).__name__}.{function}"
            raise UserError(f"{name} has an old signature; write def {new}") from None


def validate_metrics(task: Task, splits: Splits, metrics: Sequence[Metric]) -> None:
    """Refuse, before training, metrics that cannot score the task's answers or rank a table.

    They score two examples with a known answer, in several resamples.
    """
    names = [metric.name for metric in metrics]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"task.metrics has two metrics named {twice[0]}; rename one of them")
    if metrics[0].higher_is_better is None:
        reason = f"task.metrics begins with {names[0]}, which has no direction and cannot rank"
        raise UserError(f"{reason}; begin with a metric that has one")
    for examples in splits.tests.values():
        few = list(islice((e for e in examples if has_answer(e.label, task.readout)), 2))
        answers = [task.compact(placeholder(e, task.readout), e) for e in few]
        for metric in metrics:
            weights = np.ones((TRIED, len(few)), np.int64)
            if isinstance(metric, SetMetric):
                metric, weights = replace(metric, size=None), weights[:1]
            try:
                metric.scores(answers, few, weights)
            except (TypeError, ValueError) as error:
                raise unfit(metric, error) from None


def placeholder(example: Example, readout: Readout) -> Value:
    """A prediction of the right form."""
    if readout.kind == "sequence":
        return Sampled(example.chains[0] + RESIDUES, -1.0, True)
    return np.zeros(shape(example, readout))


def shape(example: Example, readout: Readout) -> tuple[int, ...]:
    """Shape of a prediction for an example."""
    lengths = tuple(len(chain) for chain in example.chains)
    of_level = {"residue": lengths, "pair": 2 * lengths}.get(readout.level, ())
    return of_level + ((readout.width,) if readout.width > 1 else ())


def check(prediction: Value, example: Example, readout: Readout) -> None:
    """Refuse a prediction of a wrong form, or one that is not finite at a scored position."""
    if readout.kind == "sequence":
        if not isinstance(prediction, Sampled):
            found = type(prediction).__name__
            raise UserError(f"the method returned a {found}, not a benchmark.core.Sampled")
        return
    values, wanted = np.asarray(prediction), shape(example, readout)
    if values.shape != wanted:
        raise UserError(f"the method returned a prediction of shape {values.shape}, not {wanted}")
    if readout.level == "pair":
        values = values[np.triu_indices(len(values), readout.first_separation)]
    if readout.kind == "likelihood":
        values = values[readout.scored_positions(example.chains[0])]
    if not np.isfinite(values).all():
        raise UserError("the predictions are not finite numbers; try dtype=float32")


@contextmanager
def clock(seconds: dict[str, float], phase: str) -> Iterator[None]:
    """Add the duration of a block to that of a phase."""
    start = time.perf_counter()
    yield
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start

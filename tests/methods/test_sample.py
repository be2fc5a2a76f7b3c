"""`method=sample`: prompts of a task, rejection, lengths for masked models, refusals."""

from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate

from benchmark.core import (
    RESIDUES,
    Backbone,
    Chains,
    Example,
    FitContext,
    Readout,
    Sampled,
    Splits,
    Task,
    UserError,
    Value,
    corpus_metric,
)
from benchmark.methods.sample import Sample, perplexity
from benchmark.run.evaluation import evaluate
from tests.conftest import composed, make_backbone, random_chain

READOUT = Readout("protein", "sequence")
NONE = ("",)


def example(chain: str, number: int = 0) -> Example:
    return Example((chain,), np.array(np.nan), f"id{number}", f"g{number}")


TRAIN = [example(random_chain(np.random.default_rng(i), n), i) for i, n in enumerate((9, 12, 30))]


def method(**settings: Any) -> Sample:
    made = instantiate(composed("method=sample").method, _convert_="all")
    assert isinstance(made, Sample)
    return replace(made, **{"max_length": 30, **settings})


@pytest.fixture(scope="module")
def bigram(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return make_backbone("bigram", tmp_path_factory.mktemp("bigram") / "checkpoint")


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return make_backbone("neighbours", tmp_path_factory.mktemp("neighbours") / "checkpoint")


def run(
    backbone: Backbone, inputs: list[Chains], seed: int = 0, **settings: Any
) -> tuple[list[Sampled], dict[str, Any]]:
    predictor = method(**settings).fit(TRAIN, [], FitContext(backbone, READOUT, seed))
    found = list(predictor.predict(inputs))
    assert all(isinstance(new, Sampled) for new in found)
    return found, dict(predictor.choices)


def test_prompts_are_continued_in_their_order(bigram: Backbone) -> None:
    inputs = [("MK",), NONE, ("ACDEF",), NONE]
    found, choices = run(bigram, inputs)

    assert all(new.chain.startswith(p) for new, (p,) in zip(found, inputs, strict=True))
    assert found == run(bigram, inputs)[0] != run(bigram, inputs, seed=1)[0]
    assert found[1] != found[3]
    tokens = sum(len(new.chain) + new.ended for new in found) - 7
    assert choices["sampling"] == "causal" and choices["tokens"] == tokens
    assert choices["tokens_per_second"] > 0 and "rejected" not in choices


def test_the_least_likely_chains_of_each_prompt_are_rejected(bigram: Backbone) -> None:
    """Of 4 chains of a prompt the best 3, of 8 the best 6, in their order; with the share."""
    inputs = [NONE] * 3 + [("MKA",)] * 6
    found, choices = run(bigram, inputs, reject=0.25)
    # without rejection the same prompts, those of the additional chains last
    every, _ = run(bigram, inputs + [NONE] + [("MKA",)] * 2)

    assert choices["rejected"] == pytest.approx(0.25)
    for prompt, rows in (("", [0, 1, 2, 9]), ("MKA", [*range(3, 9), 10, 11])):
        mine = [new for new, (p,) in zip(found, inputs, strict=True) if p == prompt]
        drawn = [every[row] for row in rows]
        worst = sorted(drawn, key=lambda new: perplexity(new, prompt))[len(mine) :]
        assert mine == [new for new in drawn if new not in worst]
    assert perplexity(Sampled("MKAC", -3.0, True), "MK") == pytest.approx(exp(1))
    assert run(bigram, inputs, reject=0.2)[1]["rejected"] == pytest.approx(1 / 10)


def test_lengths_of_masked_models_are_natural(neighbours: Backbone) -> None:
    inputs = [("M" * 10,)] * 20 + [NONE] * 20
    found, choices = run(neighbours, inputs, passes=3)

    assert choices["sampling"] == "refill"
    assert {len(new.chain) for new in found[:20]} == {12, 30}, "9 is shorter than the prompt"
    assert {len(new.chain) for new in found[20:]} == {9, 12, 30}
    assert all(new.chain.startswith("M" * 10) for new in found[:20])
    assert found != run(neighbours, inputs, passes=3, seed=1)[0]
    short, _ = run(neighbours, inputs[20:], passes=3, max_length=12)
    assert {len(new.chain) for new in short} == {9, 12}
    with pytest.raises(UserError, match="no chain of train has 31 to 30 residues"):
        run(neighbours, [("M" * 30,)])


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("bigram", {"reject": 1.0}, "method.reject=1.0 is not allowed; give a share below 1"),
        ("bigram", {"passes": 0}, "method.passes=0 is not allowed"),
        ("bigram", {"order": "left"}, "method.order=left is not known; allowed are random, conf"),
        ("bigram", {"reject": 0.1}, "drops no chain, because each prompt occurs at most 1 times"),
        ("neighbours", {"reject": 0.5}, "method.reject=0.5 is for causal models"),
        ("neighbours", {"no_repeat_ngram": 3}, "method.no_repeat_ngram=3 is for causal models"),
        ("onehot", {}, "needs a language model with its head, causal or masked; the backbone"),
    ],
)
def test_what_a_model_cannot_do_is_refused(
    model: str, settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    backbone = make_backbone(model, tmp_path / "checkpoint")
    with pytest.raises(UserError, match=words):
        run(backbone, [NONE], **settings)


def test_an_old_signature_is_refused(bigram: Backbone) -> None:
    class Old(type(bigram)):
        def sample(self, prompts: Any, *, max_length: int, seed: int) -> list[str]:
            return list(prompts)

    old = Old(bigram.counts, 1)
    with pytest.raises(UserError, match=r"Old.sample has an old signature; write def sample\(self"):
        run(old, [NONE])


@corpus_metric(higher_is_better=None)
def mean_length(predictions: Any, examples: Any, weights: Any) -> Any:
    """Mean number of residues."""
    lengths = np.array([len(new.chain) for new in predictions])
    return weights @ lengths / weights.sum(axis=1)


@corpus_metric(higher_is_better=True)
def ended(predictions: Any, examples: Any, weights: Any) -> Any:
    """Share that ends by itself."""
    return weights @ np.array([new.ended for new in predictions], float) / weights.sum(axis=1)


@dataclass(frozen=True, kw_only=True)
class Prompts(Task):
    """Four chains from nothing."""

    @property
    def readout(self) -> Readout:
        return READOUT

    def load(self) -> Splits:
        return Splits(TRAIN, TRAIN, {"test": [example("", at) for at in range(4)]})


def test_new_chains_are_scored_and_other_methods_refused(bigram: Backbone) -> None:
    """Every example counts, though no label is known; choices are read after the predictions."""
    task = Prompts(area="generation", version=1, metrics=["ended"])
    metrics = [ended, mean_length]
    outcome = evaluate(task, task.load(), bigram, method(), metrics, 0)
    expected, _ = run(bigram, [NONE] * 4)

    assert outcome.tests["test"].scored == 4
    assert outcome.tests["test"].predictions == expected
    assert outcome.tests["test"].scores["mean_length"] == np.mean([len(n.chain) for n in expected])
    assert outcome.choices["tokens"] > 0
    linear: Any = instantiate(composed("method=linear").method, _convert_="all")
    with pytest.raises(UserError, match="scores new chains, which Linear does not make"):
        evaluate(task, task.load(), bigram, linear, metrics, 0)

    class Mute(Sample):
        def fit(self, train: Any, valid: Any, context: Any) -> Any:
            return super().fit(train, valid, context)._replace(predict=lambda inputs: list("ACDE"))

    mute = Mute(**vars(method()))
    with pytest.raises(UserError, match=r"returned a str, not a benchmark.core.Sampled"):
        evaluate(task, task.load(), bigram, mute, metrics, 0)


def test_tasks_with_other_answers_are_refused(bigram: Backbone) -> None:
    class Labelled(Prompts):
        @property
        def readout(self) -> Readout:
            return Readout("protein", "regression")

    task = Labelled(area="generation", version=1, metrics=["ended"])
    with pytest.raises(UserError, match=r"Sample makes new chains, .* kind=regression"):
        evaluate(task, task.load(), bigram, method(), [ended], 0)


def test_the_alphabet_is_that_of_residues(bigram: Backbone) -> None:
    values: list[Value] = [*run(bigram, [("MKX",)] * 50, max_length=12)[0]]
    assert set("".join(new.chain[3:] for new in values)) <= set(RESIDUES)

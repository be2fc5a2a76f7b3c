"""Metrics of a user that return a wrong shape, or a score outside their scale, are refused."""

import sys
from pathlib import Path

import pytest

from tests.bad_inputs.refusals import Bad, check_refusal

ONE_EACH = "one score for each row of weights, (5,)"
METRICS = {
    "example_metric(higher_is_better=True)|lambda p, e: 1.0": (
        "values of shape ()",
        "return one value for each of 2 examples, (2,)",
    ),
    "example_metric(higher_is_better=True)|lambda p, e: [1.0] * 5": (
        "values of shape (5,)",
        "return one value for each of 2 examples, (2,)",
    ),
    "example_metric(higher_is_better=True)|lambda p, e: ([1.0] * 2, 1)": (
        "sizes of shape ()",
        "return one value for each of 2 examples, (2,)",
    ),
    "corpus_metric(higher_is_better=True)|lambda p, e, w: 1.0": ("the shape ()", ONE_EACH),
    "corpus_metric(higher_is_better=True)|lambda p, e, w: [1.0] * len(e)": (
        "the shape (2,)",
        ONE_EACH,
    ),
    "corpus_metric(higher_is_better=True)|lambda p, e, w: w": ("the shape (5, 2)", ONE_EACH),
    "corpus_metric(higher_is_better=True)|lambda p, e: 1.0": (
        "it returned a float",
        "write @example_metric",
    ),
    "corpus_metric(higher_is_better=True)|lambda p, e: lambda w: 1.0": ("the shape ()", ONE_EACH),
    "set_metric(higher_is_better=True)|lambda p, e: [1.0]": (
        "the shape (1,)",
        "return a single number",
    ),
    "example_metric(higher_is_better=True, scale='share')|lambda p, e: 0": (
        "scale=share of the metric <lambda>",
        "give identity, logit, probit, fisher, log, inverse",
    ),
    "example_metric(higher_is_better=True, scale='logit')|lambda p, e: [50.0] * len(e)": (
        "a score of 50, but scale=logit",
        "is for scores between 0 and 1",
    ),
}


@pytest.mark.parametrize("made", METRICS)
def test_a_wrong_metric_is_refused(
    tmp_path: Path, toy_conf: Path, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    decorator, function = made.split("|")
    code = f"from benchmark.core import *\nwrong = {decorator}({function})\n"
    (tmp_path / "mymetrics.py").write_text(code)
    words = f"--config-dir={toy_conf} task=toy model=kmer method.penalties=[1] results=results"
    (tmp_path / "results").mkdir()
    check_refusal(Bad(words, *METRICS[made]), tmp_path, "task.metrics=[mymetrics.wrong]")

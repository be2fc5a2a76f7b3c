"""Settings of sampling, and tasks whose answers are new chains."""

from typing import Any

import pytest

from benchmark.core import Readout, Sampling, UserError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -0.1}, "temperature=-0.1 is not allowed; give 0 or more"),
        ({"temperature": "hot"}, "temperature=hot is not allowed"),
        ({"temperature": float("nan")}, "temperature=nan is not allowed"),
        ({"top_p": 0}, "top_p=0 is not allowed; give a share above 0, at most 1"),
        ({"top_p": 1.5}, "top_p=1.5"),
        ({"top_k": 0}, "top_k=0 is not allowed; give 1 or more, or null"),
        ({"top_k": True}, "top_k=True"),
        ({"repetition_penalty": 0}, "repetition_penalty=0"),
        ({"no_repeat_ngram": 2.5}, "no_repeat_ngram=2.5"),
        ({"min_length": 0}, "min_length=0 is not allowed; give 1 or more"),
        ({"min_length": None}, "min_length=None"),
        ({"min_length": 9, "max_length": 8}, r"max_length=8 is not allowed; give 9 \(min_length\)"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Sampling(**settings)


def test_nothing_is_truncated_or_penalised_by_default() -> None:
    off = Sampling(top_k=None, no_repeat_ngram=None, repetition_penalty=1, top_p=1, temperature=1)
    assert Sampling() == off


def test_new_chains_are_of_whole_proteins() -> None:
    with pytest.raises(UserError, match="kind=sequence does not fit level=residue"):
        Readout("residue", "sequence")
    with pytest.raises(UserError, match="size=2 does not fit kind=sequence"):
        Readout("protein", "sequence", 2)

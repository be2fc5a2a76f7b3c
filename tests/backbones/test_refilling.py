"""Mask-refill: its schedule, its distributions, and baselines that sample from counts."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from benchmark.backbones.baselines.ngram import Bigram, Neighbours, Unigram, count_triples
from benchmark.backbones.refilling import refill
from benchmark.core import MASK, RESIDUES, Array, Backbone, Sampling, UserError


class Recorder(Backbone):
    """Prefers the letter of each position's number; surer the further to the right."""

    digest = "recorder"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def masked_log_probs(self, chains: Any) -> list[Array]:
        self.seen += chains
        tables = []
        for chain in chains:
            logits = np.zeros((len(chain), 20), np.float32)
            logits[np.arange(len(chain)), np.arange(len(chain)) % 20] = 5 + np.arange(len(chain))
            tables.append(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
        return tables


def masks(chain: str) -> list[int]:
    return [at for at, letter in enumerate(chain) if letter == MASK]


@pytest.mark.parametrize("order", ["random", "confidence"])
@pytest.mark.parametrize(("passes", "left"), [(1, [8]), (3, [8, 5, 2]), (None, range(8, 0, -1))])
def test_each_pass_fills_its_share_in_the_stated_order(
    order: str, passes: int | None, left: Any
) -> None:
    """Of 8 masks 3, 6 and 8 after three passes; residues that are given never change."""
    model, settings = Recorder(), Sampling(temperature=0)
    (new,) = refill(model, ["WW" + MASK * 8], settings, [0], passes, order)

    assert new.chain == "WW" + RESIDUES[2:10] and not new.ended
    assert np.isnan(new.log_likelihood)
    assert [len(masks(chain)) for chain in model.seen] == list(left)
    if order == "confidence":
        assert all(masks(c) == list(range(2, 2 + n)) for c, n in zip(model.seen, left, strict=True))
    elif passes is None:
        assert masks(model.seen[4]) != list(range(2, 6)), "not from one end"


def test_a_chain_depends_on_its_seed_alone(counts: Path) -> None:
    model, settings = Neighbours(f"file:{counts}", 20), Sampling()
    templates = ["MK" + MASK * 9, MASK * 20, MASK * 5]
    found = refill(model, templates, settings, [1, 2, 3], 4, "random")
    for new, template, seed in zip(found, templates, (1, 2, 3), strict=True):
        assert refill(model, [template], settings, [seed], 4, "random")[0].chain == new.chain
    assert found != refill(model, templates, settings, [2, 3, 4], 4, "random")
    assert {len(new.chain) for new in found} == {11, 20, 5}
    assert set("".join(new.chain for new in found)) <= set(RESIDUES)


def test_refilled_residues_have_the_models_frequencies(counts: Path) -> None:
    model = Unigram(f"file:{counts}", 20)
    (row,) = model.masked_log_probs([MASK])[0].astype(float)
    found = refill(model, [MASK * 4] * 1000, Sampling(temperature=2.0), range(1000), 2, "random")
    seen = Counter("".join(new.chain for new in found))
    warm = np.exp(row / 2) / np.exp(row / 2).sum()
    assert chisquare([seen[r] for r in RESIDUES], 4000 * warm).pvalue > 0.01


CORPUS = ["MKKA"] * 3 + ["MAAAAA", "MKAKX"]


@pytest.fixture
def counts(tmp_path: Path) -> Path:
    path = tmp_path / "counts.npz"
    np.savez(path, triples=count_triples(CORPUS * 20))
    return path


def test_a_bigram_ends_chains_as_its_corpus_does(counts: Path) -> None:
    """Counted by hand: A ends 4 of 9 times, K never, M never; the prior is negligible."""
    model = Bigram(f"file:{counts}", 1e-9)
    seeds = np.random.SeedSequence(0).generate_state(3000).tolist()
    found = model.sample([""] * 3000, Sampling(max_length=50), seeds)

    assert all(new.chain[0] == "M" and new.chain[-1] == "A" and new.ended for new in found)
    follows = Counter(
        pair for new in found for pair in zip(new.chain, new.chain[1:] + ".", strict=True)
    )
    after_a = [follows["A", letter] for letter in "AK."]
    assert chisquare(after_a, sum(after_a) * np.array([4, 1, 4]) / 9).pvalue > 0.01
    new = found[0]
    table = model.causal_log_probs([new.chain])[0].astype(float)
    goes_on = sum(np.log(5 / 9) for letter in new.chain[:-1] if letter == "A")
    likelihood = sum(table[at, RESIDUES.index(letter)] for at, letter in enumerate(new.chain))
    assert new.log_likelihood == pytest.approx(likelihood + goes_on + np.log(4 / 9), abs=1e-4)


def test_a_unigram_has_the_mean_length_of_its_corpus(counts: Path) -> None:
    """Each of its residues is the last of a chain 4 times in 22 (X is not counted)."""
    model = Unigram(f"file:{counts}", 1e-9)
    found = model.sample(["M"] * 2000, Sampling(max_length=200), range(2000))
    more = np.array([len(new.chain) - 1 for new in found])
    assert all(new.ended for new in found)
    assert more.mean() == pytest.approx(18 / 4, abs=4 * more.std() / 2000**0.5)
    assert model.sample(["M"], Sampling(max_length=9), [0]) == model.sample(
        ["M"], Sampling(max_length=9), [0]
    )
    with pytest.raises(UserError, match="a prompt has 3 residues, and max_length=2"):
        model.sample(["MKA"], Sampling(max_length=2), [0])

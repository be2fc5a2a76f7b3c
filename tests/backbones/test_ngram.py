"""Frequency tables: counted, smoothed, refused when broken, and scored like language models."""

from collections import Counter
from collections.abc import Sequence
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.backbones.baselines.ngram import Bigram, Neighbours, Unigram, count_triples
from benchmark.core import RESIDUES, Backbone, FitContext, Readout, UserError
from benchmark.methods.zero_shot import ZeroShot
from tests.checkpoints import SHARES
from tests.conftest import make_task
from tests.methods.test_perplexity import PPL, scores, write_fasta


def corpus(count: int, length: int) -> list[str]:
    rng = np.random.default_rng(3)
    return ["".join(rng.choice(list(RESIDUES), length, p=SHARES)) for _ in range(count)]


def opened(kind: Any, folder: Path, chains: Sequence[str], prior: float = 20) -> Any:
    np.savez(folder / "counts.npz", triples=count_triples(chains))
    return kind(counts=f"file:{folder / 'counts.npz'}", prior=prior)


def test_counts_are_those_of_a_loop() -> None:
    chains = ["ACDXXKA", "M", "", "WW", *corpus(5, 40)]
    expected = Counter[tuple[int, int, int]]()
    for chain in chains:
        codes = [20, *(RESIDUES.find(c) if c in RESIDUES else 21 for c in chain), 20]
        for left, residue, right in zip(codes, codes[1:], codes[2:], strict=False):
            expected[left, residue, right] += residue < 20
    triples = count_triples(chains)

    assert triples.shape == (22, 20, 22) and triples.dtype == np.int64
    assert {tuple(place): triples[tuple(place)] for place in np.argwhere(triples)} == +expected
    many = chains * 1000
    np.testing.assert_array_equal(count_triples(many), 1000 * triples, "in blocks")


def test_frequencies_are_smoothed_counts(tmp_path: Path) -> None:
    chains = corpus(300, 30)
    counts, pairs, triples = Counter[str](), Counter[str](), Counter[str]()
    for chain in chains:
        counts.update(chain)
        ends = f"${chain}$"
        pairs.update(ends[at : at + 2] for at in range(len(chain)))
        triples.update(ends[at : at + 3] for at in range(len(chain)))
    single = {c: (counts[c] + 1) / (9000 + 20) for c in RESIDUES}

    def after(left: str, c: str) -> float:
        total = sum(pairs[left + other] for other in RESIDUES)
        return (pairs[left + c] + 20 * single[c]) / (total + 20)

    def between(left: str, c: str, right: str) -> float:
        total = sum(triples[left + other + right] for other in RESIDUES)
        return (triples[left + c + right] + 20 * single[c]) / (total + 20)

    chain = "YWAC_"
    ends = f"${chain}$"
    for kind, name, expected in (
        (Unigram, "causal_log_probs", lambda at, c: single[c]),
        (Unigram, "masked_log_probs", lambda at, c: single[c]),
        (Bigram, "causal_log_probs", lambda at, c: after(ends[at], c)),
        (Neighbours, "masked_log_probs", lambda at, c: between(ends[at], c, ends[at + 2])),
    ):
        (table,) = getattr(opened(kind, tmp_path, chains), name)([chain])
        by_loop = [[log(expected(at, c)) for c in RESIDUES] for at in range(len(chain))]
        np.testing.assert_allclose(table, by_loop, atol=1e-5)
        np.testing.assert_allclose(np.exp(table).sum(1), 1, atol=1e-5)


def test_a_corpus_has_the_perplexity_of_its_entropy(tmp_path: Path) -> None:
    """Of what they were counted on, without smoothing; each sees more than the one before."""
    chains = corpus(200, 50)
    shares = np.array([sum(chain.count(c) for chain in chains) for c in RESIDUES]) / 10_000
    entropy = -float(np.sum(shares * np.log(shares)))
    source = write_fasta(tmp_path / "proteins.fasta", chains)

    def found(task: str, kind: type[Backbone]) -> float:
        backbone = opened(kind, tmp_path, chains, prior=1e-6)
        return scores(make_task(task, *source), backbone)["test"][PPL]

    unigram = found("perplexity", Unigram)
    assert unigram == pytest.approx(exp(entropy), rel=1e-5)
    assert found("pseudo_perplexity", Unigram) == pytest.approx(unigram, rel=1e-6)
    assert found("pseudo_perplexity", Neighbours) < found("perplexity", Bigram) < unigram


def test_a_broken_file_of_counts_is_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "bad.npz", triples=np.zeros((20, 20)))
    np.savez(tmp_path / "other.npz", pairs=np.zeros((20, 20)))
    (tmp_path / "text.npz").write_text("no counts")
    for counts, message in (
        (f"file:{tmp_path}/bad.npz", r"triples of shape \(20, 20\) and float64, not \(22, 20, 22"),
        (f"file:{tmp_path}/other.npz", r"is not a file of counts; numpy.savez\(FILE, triples="),
        (f"file:{tmp_path}/text.npz", "is not a file of counts"),
        ("package:absent.npz", "is not a file of counts"),
        ("counts.npz", "it starts with package: or file:"),
    ):
        with pytest.raises(UserError, match=message):
            Unigram(counts=counts, prior=20)
    with pytest.raises(UserError, match=r"model.prior=0 is not above 0"):
        Unigram(counts=f"file:{tmp_path}/bad.npz", prior=0)
    one, other = opened(Bigram, tmp_path, ["ACD"]), opened(Bigram, tmp_path, ["ACE"])
    assert one.digest != other.digest and opened(Bigram, tmp_path, ["ACE"]).digest == other.digest


def test_a_digest_identifies_how_often_chains_end(tmp_path: Path) -> None:
    """All have four residues A."""
    twice, again, once = (
        opened(Unigram, tmp_path, chains).digest
        for chains in (["AA", "AA"], ["AAA", "A"], ["AAAA"])
    )

    assert twice == again != once


def test_a_floor_scores_variants_too(tmp_path: Path) -> None:
    backbone = opened(Bigram, tmp_path, ["ACDE"] * 9)
    predictor = ZeroShot(score="auto").fit(
        [], [], FitContext(backbone, Readout("variant", "regression"), 0)
    )
    kept, broken = (
        float(np.asarray(value))
        for value in predictor.predict([("ACDE", "ACDW"), ("ACWE", "ACDE")])
    )
    assert predictor.choices == {"score": "causal_log_likelihood"} and kept > broken

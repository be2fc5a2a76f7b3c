"""The linear probe learns, agrees with scikit-learn, chooses by valid, repeats its bits."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from benchmark.backbones.baselines.descriptors import Kmer, Window
from benchmark.core import RESIDUES, Array, Example, FitContext, Predictor, Readout, UserError
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import (
    SEPARATIONS,
    protein_features,
    residue_features,
    write_pair_features,
)
from benchmark.methods.probe.linear import Linear
from tests.conftest import toy

ONEHOT = Window("onehot", 3)
KMER = Kmer(1)


def linear(**changes: Any) -> Linear:
    settings: dict[str, Any] = {
        "penalties": [1e3, 1e2, 1e1, 1e0, 1e-1],
        "max_iter": 300,
        "tolerance": 1e-5,
        "max_residues": 100_000,
        "max_chains": 100,
        "pairs_per_chain": 200,
    }
    return Linear(**{**settings, **changes})


def answer(predictor: Predictor, examples: Sequence[Example]) -> list[Array]:
    return [np.asarray(p) for p in predictor.predict([example.chains for example in examples])]


def share(chain: str) -> Array:
    return np.asarray(chain.count("W") / len(chain))


def richest(chain: str) -> Array:
    return np.asarray(int(np.argmax([chain.count(letter) for letter in "WAC"])))


def helix(chain: str) -> Array:
    return np.array([RESIDUES.index(residue) % 3 for residue in chain])


def touching(chain: str) -> Array:
    """Pairs of two W or two C at least 3 apart."""
    pairs = [
        (i, j)
        for i in range(len(chain))
        for j in range(i + 3, len(chain))
        if chain[i] == chain[j] and chain[i] in "WC"
    ]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def test_ridge_is_scikit_learns() -> None:
    train, valid, test = toy(share, 200), toy(share, 40, 1), toy(share, 20, 2)
    predictor = linear(penalties=[10.0]).fit(
        train, valid, FitContext(KMER, Readout("protein", "regression"), 0)
    )
    chains = [[example.chains for example in part] for part in (train, test)]
    X, Z = (protein_features(Embedder(KMER), part, "") for part in chains)
    scaler = StandardScaler().fit(X)
    y = [np.asarray(example.label).item() for example in train]
    reference = Ridge(alpha=10.0).fit(scaler.transform(X), y)

    np.testing.assert_allclose(
        answer(predictor, test), reference.predict(scaler.transform(Z)), atol=1e-5
    )


@pytest.mark.parametrize("label", [richest, lambda chain: richest(chain) % 2])
def test_classes_are_scikit_learns(label: Any) -> None:
    size = 3 if label is richest else 2
    train, valid, test = toy(label, 300), toy(label, 40, 1), toy(label, 20, 2)
    readout = Readout("protein", "classification", size)
    predictor = linear(penalties=[10.0]).fit(train, valid, FitContext(KMER, readout, 0))
    X, Z = (
        protein_features(Embedder(KMER), [e.chains for e in part], "") for part in (train, test)
    )
    scaler = StandardScaler().fit(X)
    reference = LogisticRegression(C=0.1, tol=1e-6, max_iter=1000)
    reference.fit(scaler.transform(X), [np.asarray(e.label).item() for e in train])
    expected = reference.predict_proba(scaler.transform(Z))

    np.testing.assert_allclose(
        answer(predictor, test), expected if size == 3 else expected[:, 1], atol=2e-3
    )


def test_a_class_absent_from_train_gets_probability_zero() -> None:
    train, valid = toy(richest, 100), toy(richest, 30, 1)
    for kept in (1, 2):
        part = [example for example in train if example.label in range(kept + 1)]
        predictor = linear().fit(
            part, valid, FitContext(KMER, Readout("protein", "classification", 4), 0)
        )
        probability = np.stack(answer(predictor, valid))
        assert (probability[:, kept + 1 :] == 0).all()
        np.testing.assert_allclose(probability.sum(axis=1), 1)


def test_labels_with_unknown_entries() -> None:
    def labels(chain: str) -> Array:
        known = [int(chain.count(letter) > 1) for letter in "WA"]
        return np.array([*known, 1, -1 if len(chain) % 2 else known[0]])

    train, valid, test = toy(labels, 300), toy(labels, 60, 1), toy(labels, 60, 2)
    predictor = linear().fit(train, valid, FitContext(KMER, Readout("protein", "multilabel", 4), 0))
    probability = np.stack(answer(predictor, test))
    truth = np.stack([np.asarray(example.label) for example in test])

    assert ((probability[:, :2] > 0.5) == truth[:, :2]).mean() > 0.85
    assert (probability[:, 2] > 0.99).all(), "a label that is always 1"


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_residues_learn_and_unknown_ones_do_not_count(kind: Any) -> None:
    def label(chain: str) -> Array:
        truth = helix(chain).astype(float)
        truth[::5] = np.nan
        return truth if kind == "regression" else np.nan_to_num(truth, nan=-1).astype(int)

    readout = Readout("residue", kind, 3 if kind == "classification" else 1)
    predictor = linear().fit(toy(label, 100), toy(label, 20, 1), FitContext(ONEHOT, readout, 0))
    test = toy(helix, 20, 2)
    for predicted, example in zip(answer(predictor, test), test, strict=True):
        guess = np.round(predicted) if kind == "regression" else predicted.argmax(axis=1)
        np.testing.assert_array_equal(guess, example.label)


def test_pairs_learn_every_pair_and_are_symmetric() -> None:
    readout = Readout("pair", "classification", 2, min_separation=3)
    predictor = linear().fit(
        toy(touching, 60), toy(touching, 10, 1), FitContext(ONEHOT, readout, 0)
    )
    test = toy(touching, 10, 2)
    for scores, example in zip(answer(predictor, test), test, strict=True):
        i, j = np.triu_indices(len(scores), 3)
        truth = np.zeros_like(scores, dtype=bool)
        truth[tuple(np.asarray(example.label).T)] = True
        np.testing.assert_array_equal(scores, scores.T)
        np.testing.assert_array_equal(scores[i, j] > 0.5, truth[i, j])
        assert np.isnan(scores[np.arange(len(scores)), np.arange(len(scores))]).all()


def test_sampled_pairs_stand_for_all_pairs() -> None:
    """The mean probability is the share of contacts, though the sample holds many more."""
    readout = Readout("pair", "classification", 2, min_separation=3)
    train = toy(touching, 80, lengths=(30, 40))
    predictor = linear(pairs_per_chain=40, penalties=[100.0]).fit(
        train, train[:20], FitContext(KMERLESS, readout, 0)
    )
    predicted = np.concatenate(
        [s[np.triu_indices(len(s), 3)] for s in answer(predictor, train)]
    ).mean()
    counts = [len(np.asarray(e.label)) for e in train]
    pairs = sum((len(e.chains[0]) - 2) * (len(e.chains[0]) - 3) // 2 for e in train)

    assert predicted == pytest.approx(sum(counts) / pairs, rel=0.1)


KMERLESS = Window("onehot", 1)


def test_memory_limits_are_kept_and_recorded() -> None:
    predictor = linear(max_residues=50).fit(
        toy(helix, 30),
        toy(helix, 10, 1),
        FitContext(ONEHOT, Readout("residue", "classification", 3), 0),
    )
    assert predictor.choices["sample"]["train"]["rows"] == 50


@pytest.mark.parametrize(
    ("readout", "label", "backbone"),
    [
        (Readout("protein", "classification", 3), richest, KMER),
        (Readout("residue", "classification", 3), helix, ONEHOT),
        (Readout("pair", "classification", 2, 3), touching, ONEHOT),
    ],
)
def test_same_seed_same_bits(readout: Readout, label: Any, backbone: Any) -> None:
    train, valid, test = toy(label, 60), toy(label, 20, 1), toy(label, 10, 2)
    limits = {"max_residues": 300, "pairs_per_chain": 20, "max_chains": 40}
    runs = [
        answer(linear(**limits).fit(train, valid, FitContext(backbone, readout, seed)), test)
        for seed in (0, 0, 1)
    ]
    same = [np.array_equal(a, b, equal_nan=True) for a, b in zip(runs[0], runs[1], strict=True)]

    assert all(same)
    if readout.level != "protein":  # nothing is sampled there
        assert any(
            not np.array_equal(a, b, equal_nan=True) for a, b in zip(runs[0], runs[2], strict=True)
        )


def test_the_penalty_is_chosen_on_valid() -> None:
    """With labels of noise in valid the strongest penalty wins; with true ones a weak one does."""
    train = toy(share, 200)
    noise = [e._replace(label=np.asarray(float(i % 2))) for i, e in enumerate(toy(share, 40, 1))]
    readout = Readout("protein", "regression")
    weak = linear().fit(train, toy(share, 40, 1), FitContext(KMER, readout, 0)).choices
    strong = linear().fit(train, noise, FitContext(KMER, readout, 0)).choices

    assert weak["penalty"] < strong["penalty"]
    assert weak["penalty"] == float(min(weak["valid_loss"], key=weak["valid_loss"].__getitem__))


def test_refusals() -> None:
    train = toy(helix, 20)
    with pytest.raises(UserError, match="a vector for each residue; the backbone Kmer has none"):
        linear().fit(train, train, FitContext(KMER, Readout("residue", "classification", 3), 0))
    same = toy(lambda chain: np.asarray(1), 20)
    with pytest.raises(UserError, match="same class"):
        linear().fit(same, same, FitContext(KMER, Readout("protein", "classification", 2), 0))
    blank = toy(lambda chain: np.asarray(-1), 20)
    with pytest.raises(UserError, match="no example of train has a known answer"):
        linear().fit(blank, blank, FitContext(KMER, Readout("protein", "classification", 2), 0))


@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 10_000))
def test_pair_features_are_symmetric_and_local(length: int, dim: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    residues = rng.standard_normal((length, dim)).astype(np.float32)
    i, j = rng.integers(length, size=(2, 5))
    features, swapped = (np.empty((5, 3 * dim + len(SEPARATIONS)), np.float32) for _ in range(2))
    write_pair_features(features, residues, i, j)
    write_pair_features(swapped, residues, j, i)

    np.testing.assert_array_equal(features, swapped)
    for row, (a, b) in enumerate(zip(i, j, strict=True)):
        h, g = residues[a], residues[b]
        np.testing.assert_array_equal(
            features[row, : 3 * dim], np.concatenate([h * g, abs(h - g), h + g])
        )
        assert features[row, 3 * dim :].sum() == (abs(a - b) >= 6)


def test_chains_stand_side_by_side_and_residues_come_in_order() -> None:
    rows = protein_features(Embedder(KMER), [("AAA", "WW"), ("WW", "AAA")], "")
    np.testing.assert_array_equal(rows[0], np.roll(rows[1], KMER.protein_dim))
    lengths = [5, 40, 1, 17]
    found = residue_features(Embedder(ONEHOT), [("A" * n,) for n in lengths], "")
    assert [len(r) for r in found] == lengths
    with pytest.raises(UserError, match="1 to 2 chains"):
        protein_features(Embedder(KMER), [("A",), ("A", "C")], "")

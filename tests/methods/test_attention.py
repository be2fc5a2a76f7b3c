"""The regression on attention maps: its features are ESM's, it learns, it repeats its bits."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from transformers.models.esm.modeling_esm import average_product_correct, symmetrize

from benchmark.backbones.baselines.descriptors import Kmer
from benchmark.core import Array, Backbone, Example, FitContext, Predictor, Readout, UserError
from benchmark.methods.contacts.attention import Attention, correct, predict
from benchmark.metrics import find
from benchmark.run.evaluation import evaluate, subset
from tests.conftest import SHARED, composed, make_backbone, make_task, random_chain, toy

CONTACT = Readout("pair", "classification", 2, 3)


def attention(**changes: Any) -> Attention:
    method = instantiate(composed("method=attention").method)
    assert isinstance(method, Attention)
    return replace(method, **changes)


def touching(chain: str) -> Array:
    """Pairs of two W or two C at least 3 apart."""
    pairs = [
        (i, j)
        for i in range(len(chain))
        for j in range(i + 3, len(chain))
        if chain[i] == chain[j] and chain[i] in "WC"
    ]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


class Watcher(Backbone):
    """Eight heads: the fourth looks from each residue to those of its kind, the others anywhere."""

    digest = "watcher"

    def attentions(self, chains: Sequence[str]) -> list[Array]:
        return [self.look(chain) for chain in chains]

    def look(self, chain: str) -> Array:
        maps = np.random.default_rng(len(chain)).random((8, len(chain), len(chain)))
        letters = np.array(list(chain))
        same = (letters[:, None] == letters) & np.isin(letters, list("WC"))
        maps[3] = np.where(np.triu(same), 2.0, 0.1 * maps[3])  # one way: to be made symmetric
        return (maps / maps.sum(axis=2, keepdims=True)).astype(np.float32)


def answer(predictor: Predictor, examples: Sequence[Example]) -> list[Array]:
    return [np.asarray(p) for p in predictor.predict([example.chains for example in examples])]


def test_maps_are_corrected_as_esm_corrects_them() -> None:
    import torch

    maps = np.random.default_rng(0).random((5, 7, 7)).astype(np.float32)
    expected = average_product_correct(symmetrize(torch.tensor(maps))).numpy()
    np.testing.assert_allclose([correct(m) for m in maps], expected, atol=1e-5)
    by_hand = [[2 - 16 / 12, 2 - 32 / 12], [2 - 32 / 12, 6 - 64 / 12]]  # rows of 4 and 8
    np.testing.assert_allclose(correct(np.array([[1, 2], [0, 3]])), by_hand)
    np.testing.assert_array_equal(correct(np.zeros((3, 3))), np.zeros((3, 3)))


def same_as_own_head(folder: Path) -> None:
    """With the weights of ESM's contact head the answers are that head's."""
    backbone: Any = make_backbone("huggingface", folder)
    head = backbone.module.contact_head.regression
    weights = head.weight.detach().numpy()[0].astype(np.float64)
    rng = np.random.default_rng(0)
    chains = [random_chain(rng, length) for length in (9, 60, 31)]
    found = predict(backbone, weights, head.bias.item(), [(chain,) for chain in chains])
    for chain, table in zip(chains, found, strict=True):
        assert np.ptp(np.asarray(table)) > 0.01
        np.testing.assert_allclose(table, backbone.contacts([chain])[0], atol=1e-4)


def test_esms_own_head_is_such_a_regression(esm_folder: Path) -> None:
    same_as_own_head(esm_folder)


def test_it_finds_the_head_that_looks_at_contacts() -> None:
    train, test = toy(touching, 40, lengths=(20, 40)), toy(touching, 10, 1, lengths=(20, 40))
    predictor = attention().fit(train, [], FitContext(Watcher(), CONTACT, 0))
    choices = predictor.choices
    ids = {example.id for example in train}

    assert len(set(choices["chains"])) == 20 and set(choices["chains"]) < ids
    assert choices["heads"] == 8 and choices["nonzero_weights"] < 8
    assert choices["weight_of_class_0"] == 1.0
    chosen = [e for e in train if e.id in choices["chains"]]
    assert choices["pairs"] == sum((n - 3) * (n - 2) // 2 for e in chosen for n in [len(*e.chains)])
    for example, table in zip(test, answer(predictor, test), strict=True):
        np.testing.assert_array_equal(table, table.T)
        i, j = np.triu_indices(len(table), 3)
        hit = np.zeros(table.shape, bool)
        hit[tuple(np.asarray(example.label).T)] = True
        if hit.any():
            assert table[hit].min() > table[i, j][~hit[i, j]].max()


def test_neither_order_nor_rest_of_train_matters_and_seeds_repeat() -> None:
    train, test = toy(touching, 40), toy(touching, 5, 1)
    first = answer(attention().fit(train, [], FitContext(Watcher(), CONTACT, 0)), test)
    again = answer(
        attention().fit(train[::-1], train, FitContext(Watcher(), CONTACT, 0)), test[::-1]
    )[::-1]
    other = attention().fit(train, [], FitContext(Watcher(), CONTACT, 1))  # other chains

    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], answer(other, test)[0])


def test_beyond_the_bound_class_0_is_sampled_and_stands_for_all() -> None:
    train, test = toy(touching, 20, lengths=(30, 50)), toy(touching, 5, 1)
    whole = attention().fit(train, [], FitContext(Watcher(), CONTACT, 0))
    bound = 8 * whole.choices["pairs"] // 4
    few = attention(max_values=bound).fit(train, [], FitContext(Watcher(), CONTACT, 0))
    contacts = sum(len(e.label) for e in train)

    assert few.choices["pairs"] * 8 <= bound + 8 * len(train)
    drawn = few.choices["pairs"] - contacts
    others = whole.choices["pairs"] - contacts
    assert few.choices["weight_of_class_0"] == pytest.approx(others / drawn, rel=0.05)
    for a, b in zip(answer(whole, test), answer(few, test), strict=True):
        np.testing.assert_allclose(a, b, atol=0.05)


def test_what_it_cannot_do_is_told() -> None:
    train = toy(touching, 5)
    with pytest.raises(UserError, match=r"method=attention needs attention maps; .* Kmer has none"):
        attention().fit(train, [], FitContext(Kmer(1), CONTACT, 0))
    with pytest.raises(UserError, match="method=attention predicts contacts"):
        attention().fit(
            train, [], FitContext(Watcher(), Readout("residue", "classification", 2), 0)
        )
    with pytest.raises(UserError, match="no train examples"):
        attention().fit([], [], FitContext(Watcher(), CONTACT, 0))
    with pytest.raises(UserError, match="same class"):
        attention().fit(
            [Example(("A" * 9,), touching("A"), "", "")], [], FitContext(Watcher(), CONTACT, 0)
        )
    with pytest.raises(UserError, match=r"method.inverse_penalty=0 is not above 0"):
        attention(inverse_penalty=0)
    with pytest.raises(UserError, match="whole numbers"):
        attention(chains=0)


@pytest.mark.slow
@pytest.mark.shared
def test_few_proteins_are_enough_for_esm2_8m() -> None:
    """Twenty chains give what ESM's own head gives, which was fitted in the same way."""
    folder = SHARED / "models" / "esm2_t6_8M_encoder"
    same_as_own_head(folder)
    task = make_task("contact", f"mirror={SHARED / 'data'}")
    splits = task.load()
    splits = splits._replace(tests=subset(splits, 60).tests)
    backbone = make_backbone("huggingface", folder)
    found = {}
    for name in ("attention", "contact_head"):
        method = instantiate(composed(f"method={name}").method, _convert_="all")
        outcome = evaluate(task, splits, backbone, method, [find("p_at_l5")], 0)
        found[name] = outcome.tests["test"].scores["p_at_l5"]

    assert found["attention"] > 10 * 0.029, "ten times the base rate"
    assert found["attention"] == pytest.approx(found["contact_head"], abs=0.05)

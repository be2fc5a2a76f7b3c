"""ProGen2 against the authors' own code, by the golden folder, and the forms of its checkpoints."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from benchmark.backbones.progen2 import ProGen2, reorder
from benchmark.core import RESIDUES, Sampling, UserError
from tests.backbones.test_proteinglm import change_config, change_weights
from tests.checkpoints import save_progen2
from tests.conftest import SHARED, random_chain

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([30, 1, 7])]


def open_folder(folder: Path, **changes: Any) -> ProGen2:
    settings: dict[str, Any] = {
        "revision": None,
        "layer": -1,
        "pooling": "mean",
        "device": "cpu",
        "device_map": None,
        "dtype": "float32",
        "batch_tokens": 1000,
        "facts": {},
    }
    return ProGen2(path=str(folder), **{**settings, **changes})


@pytest.mark.shared
def test_golden_states_logits_and_likelihoods() -> None:
    """Hidden states, logits, cross-entropy and the authors' likelihood, each direction as given."""
    backbone = open_folder(SHARED / "golden" / "progen2_tiny")
    assert "causal_log_probs" in backbone.abilities
    golden = np.load(SHARED / "golden" / "progen2_tiny" / "expected.npz")
    for index, text in enumerate(golden["sequences"]):
        ids = torch.tensor(golden[f"ids_{index}"])[None]
        likelihood = golden[f"mean_log_likelihood_{index}"][None]
        with torch.inference_mode():
            found = backbone.language_model(input_ids=ids, output_hidden_states=True)
        np.testing.assert_allclose(found.logits[0], golden[f"logits_{index}"], atol=1e-4)
        np.testing.assert_allclose(found.hidden_states[-1][0], golden[f"hidden_{index}"], atol=1e-4)
        loss = torch.nn.functional.cross_entropy(found.logits[0, :-1], ids[0, 1:])
        assert float(loss) == pytest.approx(float(golden[f"ce_all_tokens_{index}"]), abs=1e-4)
        assert backbone.direction(ids, torch.ones_like(ids)) == pytest.approx(likelihood, abs=1e-4)

        chain = str(text)[1:-1] if text[0] == "1" else str(text)[-2:0:-1]
        forward = torch.tensor([backbone.alphabet.encode(chain)])
        assert forward.equal(ids if text[0] == "1" else ids.flip(1))
        other = backbone.direction(ids.flip(1), torch.ones_like(ids))
        assert backbone.log_likelihoods([chain]) == pytest.approx(
            (likelihood + other) / 2, abs=1e-5
        )
        rows = backbone.embed_residues([chain])[0]
        if text[0] == "1":
            np.testing.assert_allclose(rows, golden[f"hidden_{index}"][1:-1], atol=1e-4)


def test_reordered_blocks_hold_the_same_heads() -> None:
    """Cut into 8 blocks of (query, value, key) before, into 4 after: the same three matrices."""
    weight = torch.randn(3 * 16, 16)

    def cut(table: torch.Tensor, blocks: int) -> list[torch.Tensor]:
        parts = table.reshape(blocks, -1, 16).split(16 // blocks, dim=1)
        return [part.reshape(16, 16) for part in parts]

    before = cut(weight.clone(), 8)
    reorder(weight)

    assert all(a.equal(b) for a, b in zip(before, cut(weight, 4), strict=True))


def test_padding_moves_nothing(tmp_path: Path) -> None:
    backbone = open_folder(save_progen2(tmp_path))
    assert "causal_log_probs" in backbone.abilities and "sampling" in backbone.abilities
    assert backbone.max_length == 254
    for table in (backbone.embed_residues, backbone.causal_log_probs):
        for row, chain in zip(table(CHAINS), CHAINS, strict=True):
            assert len(row) == len(chain)
            np.testing.assert_allclose(row, table([chain])[0], atol=1e-5)
    alone = [backbone.log_likelihoods([chain])[0] for chain in CHAINS]
    np.testing.assert_allclose(backbone.log_likelihoods(CHAINS), alone, atol=1e-6)


def test_both_directions_count(tmp_path: Path) -> None:
    backbone = open_folder(save_progen2(tmp_path))
    assert "causal_log_probs" in backbone.abilities
    chain, turned = CHAINS[0], CHAINS[0][::-1]
    assert backbone.log_likelihoods([chain]) != pytest.approx(backbone.log_likelihoods([turned]))
    ids = torch.tensor([3, *(backbone.alphabet.ids[c] for c in chain), 4])
    means = []
    for tokens in (ids, ids.flip(0)):
        with torch.inference_mode():
            logits = backbone.language_model(input_ids=tokens[None]).logits[0]
        table = logits[:-2, 5:30].log_softmax(-1)
        means.append(table[torch.arange(len(chain)), tokens[1:-1] - 5].mean().item())
    assert backbone.log_likelihoods([chain])[0] == pytest.approx(np.mean(means), abs=1e-5)


def test_the_head_is_the_checkpoints(tmp_path: Path) -> None:
    """Never tied to the embedding; without it there are embeddings only."""
    folder = save_progen2(tmp_path)
    change_config(folder, tie_word_embeddings=True)
    whole = open_folder(folder)
    weights = load_file(folder / "model.safetensors")
    torch.testing.assert_close(whole.language_model.lm_head.weight.data, weights["lm_head.weight"])
    assert not weights["lm_head.weight"].equal(weights["transformer.wte.weight"])
    change_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    backbone = open_folder(folder)

    assert {"causal_log_probs", "sampling"}.isdisjoint(backbone.abilities)
    ours, theirs = backbone.embed_proteins(CHAINS), whole.embed_proteins(CHAINS)
    np.testing.assert_array_equal(ours, theirs)


def test_every_form_of_a_checkpoint_loads(tmp_path: Path) -> None:
    """The authors' keys and their .bin, and the hub's keys and safetensors: the same model."""
    folder = save_progen2(tmp_path)
    expected = open_folder(folder).embed_proteins(CHAINS)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    config = json.loads((folder / "config.json").read_text())
    config |= {"n_embd": config.pop("embed_dim"), "vocab_size": config.pop("vocab_size_emb")}
    del config["vocab_size_lm_head"]
    (folder / "config.json").write_text(json.dumps(config))

    np.testing.assert_array_equal(open_folder(folder).embed_proteins(CHAINS), expected)


def test_what_is_no_progen2_is_refused(tmp_path: Path, esm_folder: Path) -> None:
    with pytest.raises(UserError, match=r"model_type=esm, so it is not a ProGen2"):
        open_folder(esm_folder)
    folder = save_progen2(tmp_path)
    change_config(folder, vocab_size_emb=37)
    with pytest.raises(UserError, match="vocab_size_emb=37 and vocab_size_lm_head=32"):
        open_folder(folder)
    change_config(folder, vocab_size_emb=32, n_head=4)
    with pytest.raises(UserError, match="n_head=4; give a multiple of 8"):
        open_folder(folder)
    change_config(folder, n_head=8)
    change_weights(folder, lambda weights: weights.pop("transformer.h.1.mlp.fc_in.bias"))
    with pytest.raises(UserError, match=r"lacks 1 weights .*h\.1\.mlp\.fc_in\.bias"):
        open_folder(folder)


def test_samples_are_residues_by_seed_and_greedy_when_cold(tmp_path: Path) -> None:
    """What a folder brings of settings for generation, here a penalty, has no say."""
    folder = save_progen2(tmp_path)
    change_weights(folder, lambda weights: weights["lm_head.bias"][4].fill_(-1e4))
    backbone = open_folder(folder)
    assert "sampling" in backbone.abilities and "causal_log_probs" in backbone.abilities
    settings, seeds = Sampling(max_length=12), [0, 1, 2]
    first = [new.chain for new in backbone.sample(["", "MK", ""], settings, seeds)]

    assert [len(chain) for chain in first] == [12, 12, 12] and first[1].startswith("MK")
    assert set("".join(first)) <= set(RESIDUES) and first[0] != first[2]
    again = backbone.sample(["", "MK", ""], settings, seeds)
    assert [new.chain for new in again] == first
    other = backbone.sample(["", "MK", ""], settings, [3, 4, 5])
    assert [new.chain for new in other] != first
    greedy = "MK"
    while len(greedy) < 12:
        greedy += RESIDUES[backbone.causal_log_probs([greedy + "A"])[0][-1].argmax()]
    cold = Sampling(max_length=12, temperature=1e-4)
    assert backbone.sample(["MK"], cold, [0])[0].chain == greedy
    change_weights(folder, lambda weights: weights["lm_head.bias"][4].fill_(50))
    ending = open_folder(folder)
    assert "sampling" in ending.abilities
    assert ending.sample(["MK"], settings, [0])[0][::2] == ("MK", True)

"""ProteinGLM against the golden folders, and what its checkpoints must hold to be opened."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.backbones.proteinglm import ProteinGLM, causal_alphabet, masked_alphabet
from benchmark.backbones.proteinglm_module import ProteinGLMForLanguageModeling
from benchmark.core import MASK, RESIDUES, Sampling, UserError
from tests.checkpoints import save_proteinglm
from tests.conftest import SHARED, random_chain

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([30, 1, 7])]
GOLDEN = SHARED / "golden"
KINDS = ["mlm", "clm", "2d_mlm", "2d_clm"]


def open_folder(folder: Path, **changes: Any) -> ProteinGLM:
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
    return ProteinGLM(path=str(folder), **{**settings, **changes})


@pytest.mark.shared
@pytest.mark.parametrize("kind", KINDS)
def test_golden_hidden_states_and_logits(kind: str) -> None:
    backbone = open_folder(GOLDEN / f"proteinglm_tiny_{kind}")
    golden = np.load(GOLDEN / f"proteinglm_tiny_{kind}" / "expected.npz")
    for index, chain in enumerate(golden["sequences"]):
        ids = golden[f"ids_{index}"]
        assert masked_alphabet().encode(str(chain)) == ids.tolist()
        batch = torch.tensor(ids)[None]
        with torch.inference_mode():
            found = backbone.language_model(input_ids=batch, output_hidden_states=True)
            base = backbone.module(input_ids=batch, attention_mask=torch.ones_like(batch))
        for ours, name in (
            (found.logits, "logits"),
            (found.hidden_states[-1], "hidden"),
            (base.last_hidden_state, "hidden"),
        ):
            np.testing.assert_allclose(ours[0], golden[f"{name}_{index}"], atol=1e-4)
        assert len(found.hidden_states) == backbone.layers + 1


@pytest.mark.shared
def test_golden_without_the_last_norm(tmp_path: Path) -> None:
    """`post_layer_norm: false` ends before the norm, which then gives the golden states."""
    source = GOLDEN / "proteinglm_tiny_mlm"
    folder = Path(shutil.copytree(source, tmp_path / "copy"))
    change_config(folder, post_layer_norm=False)
    weights = load_file(folder / "model.safetensors")
    weight, bias = (
        weights.pop(f"transformer.encoder.final_layernorm.{k}") for k in ("weight", "bias")
    )
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    golden = np.load(source / "expected.npz")
    with torch.inference_mode():
        states = open_folder(folder).module(input_ids=torch.tensor(golden["ids_1"])[None])
        normed = torch.nn.functional.layer_norm(states.last_hidden_state[0], (48,), weight, bias)

    np.testing.assert_allclose(normed, golden["hidden_1"], atol=1e-4)


def change_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("planes", [False, True])
def test_padding_moves_nothing(tmp_path: Path, causal: bool, planes: bool) -> None:
    folder = save_proteinglm(tmp_path, is_causal=causal, rotary_embedding_2d=planes)
    backbone = open_folder(folder)
    tables = [backbone.embed_residues]
    if causal:
        assert "causal_log_probs" in backbone.abilities and "sampling" in backbone.abilities
        assert "masked_log_probs" not in backbone.abilities
        tables.append(backbone.causal_log_probs)
    else:
        assert "masked_log_probs" in backbone.abilities
        assert {"causal_log_probs", "sampling"}.isdisjoint(backbone.abilities)
        tables.append(backbone.masked_log_probs)
    for table in tables:
        for row, chain in zip(table(CHAINS), CHAINS, strict=True):
            assert len(row) == len(chain)
            np.testing.assert_allclose(row, table([chain])[0], atol=1e-5)


def test_rows_are_at_their_residues(tmp_path: Path) -> None:
    """A causal row knows the residues before it, a masked one all; each is where its residue is."""
    chain = CHAINS[0]
    changed = chain[:9] + ("A" if chain[9] != "A" else "C") + chain[10:]
    causal = open_folder(save_proteinglm(tmp_path, is_causal=True))
    masked = open_folder(save_proteinglm(tmp_path))
    assert "causal_log_probs" in causal.abilities and "masked_log_probs" in masked.abilities
    before, after = causal.causal_log_probs([chain, changed])
    np.testing.assert_allclose(before[:10], after[:10], atol=1e-6)
    assert (np.abs(before[10:] - after[10:]).max(axis=1) > 1e-4).all()
    assert causal.log_likelihoods([chain])[0] == pytest.approx(
        np.mean([before[i, RESIDUES.index(c)] for i, c in enumerate(chain)]), abs=1e-6
    )
    ids = [*causal_alphabet().prefix, *causal_alphabet().encode(chain)[3:]]
    with torch.inference_mode():
        logits = causal.language_model(input_ids=torch.tensor([ids])).logits[0]
    columns = [causal_alphabet().ids[c] for c in RESIDUES]
    np.testing.assert_allclose(before, logits[2:-1, columns].log_softmax(-1), atol=1e-5)

    hidden = chain[:9] + MASK + chain[10:]
    rows = masked.masked_log_probs([hidden, chain, changed])
    np.testing.assert_allclose(np.exp(rows[0]).sum(axis=1), 1, atol=1e-5)
    assert (np.abs(rows[0] - rows[1]).max(axis=1) > 1e-4).all(), "both sides are seen"


def test_a_checkpoint_without_its_head_embeds_and_no_more(tmp_path: Path) -> None:
    folder = save_proteinglm(tmp_path)
    whole = open_folder(folder)
    change_weights(folder, lambda weights: weights.pop("transformer.output_layer.bias"))
    backbone = open_folder(folder)

    assert {"masked_log_probs", "causal_log_probs", "sampling"}.isdisjoint(backbone.abilities)
    ours, theirs = backbone.embed_proteins(CHAINS), whole.embed_proteins(CHAINS)
    np.testing.assert_array_equal(ours, theirs)


def drop(weights: dict[str, torch.Tensor]) -> None:
    del weights["transformer.encoder.layers.1.mlp.dense_4h_to_h.bias"]


def add(weights: dict[str, torch.Tensor]) -> None:
    weights["transformer.conv_layer.weight"] = torch.ones(2)


def add_constants(weights: dict[str, torch.Tensor]) -> None:
    name = "transformer.encoder.layers.0.self_attention.rotary_emb.inv_freq"
    weights |= {name: torch.ones(2), "classifier.weight": torch.ones(2)}


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = save_proteinglm(tmp_path)
    change_weights(folder, add_constants)
    open_folder(folder)
    change_weights(folder, add)
    with pytest.raises(UserError, match=r"holds 1 weights .*conv_layer\.weight"):
        open_folder(folder)
    change_weights(folder, drop)
    with pytest.raises(UserError, match=r"lacks 1 weights .*layers\.1\.mlp\.dense_4h_to_h\.bias"):
        open_folder(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deepnorm", False),
        ("moe", True),
        ("rmsnorm", True),
        ("multi_query_attention", True),
        ("quantization_bit", 4),
        ("glu_activation", "swiglu"),
        ("add_bias_linear", False),
    ],
)
def test_another_architecture_is_refused(tmp_path: Path, key: str, value: Any) -> None:
    folder = save_proteinglm(tmp_path)
    change_config(folder, **{key: value})

    with pytest.raises(UserError, match=f"config.json says {key}={value}; only {key}="):
        open_folder(folder)


def test_another_family_and_impossible_pooling_are_refused(
    tmp_path: Path, esm_folder: Path
) -> None:
    with pytest.raises(UserError, match=r"not a ProteinGLM; .* model=huggingface"):
        open_folder(esm_folder)
    with pytest.raises(UserError, match="pooling=start needs a start token"):
        open_folder(save_proteinglm(tmp_path), pooling="start")
    with pytest.raises(UserError, match="pooling=start is the same for every chain"):
        open_folder(save_proteinglm(tmp_path, is_causal=True), pooling="start")


def test_every_form_of_weights_loads(tmp_path: Path) -> None:
    """Sharded safetensors, a .bin, and another number type: the same model."""
    folder = save_proteinglm(tmp_path)
    expected = open_folder(folder).embed_proteins(CHAINS)
    module: Any = ProteinGLMForLanguageModeling.from_pretrained(folder)
    shards, pickled = tmp_path / "shards", tmp_path / "pickled"
    module.save_pretrained(shards, max_shard_size="10KB")
    pickled.mkdir()
    shutil.copy(folder / "config.json", pickled)
    torch.save(module.state_dict(), pickled / "pytorch_model.bin")

    assert len(list(shards.glob("model-*.safetensors"))) > 1
    for other in (shards, pickled):
        np.testing.assert_array_equal(open_folder(other).embed_proteins(CHAINS), expected)
    half = open_folder(folder, dtype="bfloat16")
    assert {p.dtype for p in half.language_model.parameters()} == {torch.bfloat16}
    np.testing.assert_allclose(half.embed_proteins(CHAINS), expected, atol=0.1)


def test_a_model_larger_than_its_device(tmp_path: Path) -> None:
    """Layers that transformers keeps on disk give the same states."""
    folder = save_proteinglm(tmp_path)
    ids = torch.tensor([masked_alphabet().encode(CHAINS[0])])
    split: Any = ProteinGLMForLanguageModeling.from_pretrained(
        folder,
        device_map="auto",
        max_memory={"cpu": 20_000},
        offload_folder=tmp_path / "offload",
    )
    assert {"cpu", "disk"} <= {str(place) for place in split.hf_device_map.values()}
    with torch.inference_mode():
        expected = open_folder(folder).language_model(input_ids=ids).logits
        torch.testing.assert_close(split(input_ids=ids).logits, expected)


def test_attention_goes_through_the_interface(tmp_path: Path) -> None:
    """Fused and plain attention agree, maps sum to 1, and a registered function gets its words."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

    backbone = open_folder(save_proteinglm(tmp_path))
    expected = backbone.embed_proteins(CHAINS)
    module: Any = backbone.module
    assert module.config._attn_implementation == "sdpa"
    seen = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        seen.append(kwargs.pop("word"))
        return ALL_ATTENTION_FUNCTIONS["sdpa"](*args, **kwargs)

    AttentionInterface.register("counted", counted)
    module.set_attn_implementation("counted")
    ids = torch.tensor([masked_alphabet().encode(CHAINS[0])])
    with torch.inference_mode():
        states = module(input_ids=ids, word=7).last_hidden_state[0]
    assert seen == [7] * backbone.layers
    np.testing.assert_allclose(states[:-1].mean(dim=0), expected[0], atol=1e-5)

    module.set_attn_implementation("eager")
    np.testing.assert_allclose(backbone.embed_proteins(CHAINS), expected, atol=1e-5)
    for table, chain in zip(backbone.attentions(CHAINS), CHAINS, strict=True):
        assert table.shape == (2 * 4, len(chain), len(chain))
        assert (table.sum(axis=-1) < 1).all(), "the end token takes its share"


def test_positions_are_relative_and_gradients_can_be_recomputed(tmp_path: Path) -> None:
    backbone = open_folder(save_proteinglm(tmp_path, is_causal=True))
    module: Any = backbone.module
    ids, mask = backbone.ids(CHAINS)
    expected = module(input_ids=ids, attention_mask=mask).last_hidden_state
    positions = torch.arange(ids.shape[1])[None] + 50
    moved = module(input_ids=ids, attention_mask=mask, position_ids=positions)
    torch.testing.assert_close(moved.last_hidden_state, expected, atol=1e-5, rtol=1e-4)

    def gradient() -> torch.Tensor:
        module.zero_grad()
        module(input_ids=ids, attention_mask=mask).last_hidden_state.square().sum().backward()
        found: torch.Tensor = module.encoder.layers[0].mlp.dense_h_to_4h.weight.grad
        return found

    plain = gradient()
    module.train()
    module.gradient_checkpointing_enable()
    torch.testing.assert_close(gradient(), plain)


def test_samples_are_residues_by_seed_and_greedy_when_cold(tmp_path: Path) -> None:
    folder = save_proteinglm(tmp_path, is_causal=True)
    ends = torch.tensor(causal_alphabet().ends)
    change_weights(folder, lambda w: w["transformer.output_layer.bias"].index_fill_(0, ends, -1e4))
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


def test_a_chain_ends_where_the_model_ends_it(tmp_path: Path) -> None:
    folder = save_proteinglm(tmp_path, is_causal=True)
    for end in causal_alphabet().ends:
        change_weights(folder, lambda w, end=end: w["transformer.output_layer.bias"][end].fill_(50))
        backbone = open_folder(folder)
        assert "sampling" in backbone.abilities
        assert backbone.sample(["MK"], Sampling(max_length=9), [0])[0][::2] == ("MK", True)
        change_weights(folder, lambda w, end=end: w["transformer.output_layer.bias"][end].zero_())

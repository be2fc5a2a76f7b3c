"""What every backbone promises, and what a checkpoint must hold to be opened."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.baselines.descriptors import Kmer, Window
from benchmark.backbones.huggingface import HuggingFace
from benchmark.backbones.transformer import Transformer
from benchmark.core import Readout, UserError
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import embedded_chains, protein_features
from tests.checkpoints import make, word_tokenizer
from tests.conftest import SHARED, make_backbone, models_with_embeddings, random_chain

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([1, 2, 33, 60, 7, 150])]
CHAINS.append("ACDXBZUOJ")
TOLERANCE = 1e-4


def open_folder(folder: Path, **changes: Any) -> HuggingFace:
    settings: dict[str, Any] = {
        "revision": None,
        "layer": -1,
        "pooling": "mean",
        "trust_remote_code": False,
        "device_map": None,
        "read_as_x": "",
        "facts": {},
        "device": "cpu",
        "dtype": "auto",
        "batch_tokens": 1000,
    }
    return HuggingFace(path=str(folder), **{**settings, **changes})


@pytest.mark.parametrize("name", models_with_embeddings())
def test_one_row_a_residue_whatever_the_batch(name: str, esm_folder: Path) -> None:
    """Alone, in a batch, in another order: the same vectors, with the promised shape and dtype."""
    backbone = make_backbone(name, esm_folder)
    if "residue_embeddings" in backbone.abilities:
        rows = backbone.embed_residues(CHAINS)
        assert [r.shape for r in rows] == [(len(c), backbone.residue_dim) for c in CHAINS]
        assert {r.dtype for r in rows} == {np.dtype("float32")}
        for row, chain in zip(rows, CHAINS, strict=True):
            np.testing.assert_allclose(row, backbone.embed_residues([chain])[0], atol=TOLERANCE)
    assert "protein_embeddings" in backbone.abilities
    table = backbone.embed_proteins(CHAINS)
    assert table.shape == (len(CHAINS), backbone.protein_dim)
    np.testing.assert_allclose(table[::-1], backbone.embed_proteins(CHAINS[::-1]), atol=TOLERANCE)
    for row, chain in zip(table, CHAINS, strict=True):
        np.testing.assert_allclose(row, backbone.embed_proteins([chain])[0], atol=TOLERANCE)


@pytest.mark.parametrize("name", models_with_embeddings())
def test_made_twice_the_same_bits(name: str, esm_folder: Path) -> None:
    first, second = make_backbone(name, esm_folder), make_backbone(name, esm_folder)

    assert first.digest == second.digest
    assert "protein_embeddings" in first.abilities and "protein_embeddings" in second.abilities
    np.testing.assert_array_equal(first.embed_proteins(CHAINS), second.embed_proteins(CHAINS))


def test_embeddings_are_the_modules_own(esm_folder: Path) -> None:
    """Rows are the hidden states at the residues' positions, by transformers' own tokenizer."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(esm_folder)
    module = AutoModel.from_pretrained(esm_folder, add_pooling_layer=False).eval()
    with torch.inference_mode():
        states = module(**tokenizer(CHAINS[3], return_tensors="pt"), output_hidden_states=True)
    for layer in (0, 1, 2, -1):
        ours = open_folder(esm_folder, layer=layer).embed_residues([CHAINS[3]])[0]
        reference = states.hidden_states[layer][0, 1:-1]
        np.testing.assert_allclose(ours, reference.numpy(), atol=1e-5)
    last = states.last_hidden_state[0].numpy()
    for pooling, row in (("mean", last[1:-1].mean(0)), ("start", last[0]), ("last", last[-1])):
        ours = open_folder(esm_folder, pooling=pooling).embed_proteins([CHAINS[3], CHAINS[5]])[0]
        np.testing.assert_allclose(ours, row, atol=1e-5)


def test_packed_batches_give_what_padded_ones_give(esm_folder: Path) -> None:
    for layer in (-1, 1):
        backbone = open_folder(esm_folder, layer=layer)
        assert backbone.packing
        rows, table = backbone.embed_residues(CHAINS), backbone.embed_proteins(CHAINS)
        backbone.packing = False
        for a, b in zip(rows, backbone.embed_residues(CHAINS), strict=True):
            np.testing.assert_allclose(a, b, atol=TOLERANCE)
        np.testing.assert_allclose(table, backbone.embed_proteins(CHAINS), atol=TOLERANCE)


def test_a_checkpoint_in_parts(esm_folder: Path, tmp_path: Path) -> None:
    from transformers import EsmForMaskedLM

    folder = Path(shutil.copytree(esm_folder, tmp_path / "copy"))
    (folder / "model.safetensors").unlink()
    EsmForMaskedLM.from_pretrained(esm_folder).save_pretrained(folder, max_shard_size="8KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    parts, whole = open_folder(folder), open_folder(esm_folder)

    np.testing.assert_array_equal(parts.embed_proteins(CHAINS), whole.embed_proteins(CHAINS))
    next(folder.glob("model-*.safetensors")).write_bytes(b"")
    with pytest.raises(UserError, match=r"is damaged or incomplete .*; copy it again"):
        open_folder(folder)


def test_a_model_larger_than_its_device(esm_folder: Path) -> None:
    """A layer that stays on disk until it is needed: the same vectors."""
    encoder = {"layer.0": "cpu", "layer.1": "disk", "emb_layer_norm_after": "cpu"}
    parts = {f"esm.encoder.{name}": place for name, place in encoder.items()} | {
        name: "cpu"
        for name in ("esm.embeddings", "esm.rotary_embeddings", "esm.contact_head", "lm_head")
    }
    spread, whole = open_folder(esm_folder, device_map=parts), open_folder(esm_folder)

    assert {p.device.type for p in spread.module.parameters()} == {"cpu", "meta"}
    np.testing.assert_allclose(
        spread.embed_proteins(CHAINS), whole.embed_proteins(CHAINS), atol=1e-6
    )
    assert open_folder(esm_folder, device_map="auto").device.type == "cpu"


def test_torch_without_memory_is_a_memory_error(
    esm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = open_folder(esm_folder)

    def refuse(*_: Any, **__: Any) -> None:
        torch.empty(2**60)  # an exabyte

    monkeypatch.setattr(backbone.module, "forward", refuse)
    backbone.packing = False
    with pytest.raises(MemoryError):
        backbone.embed_residues(CHAINS)


def test_an_overwritten_checkpoint_is_seen(esm_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(esm_folder, tmp_path / "copy"))
    before = open_folder(folder).digest
    weights = load_file(folder / "model.safetensors")
    name = "esm.encoder.layer.0.attention.self.query.weight"
    weights[name] = weights[name] + 0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    assert open_folder(folder).digest != before


def test_a_checkpoint_that_lacks_weights_is_refused(esm_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(esm_folder, tmp_path / "copy"))
    weights = load_file(folder / "model.safetensors")
    del weights["esm.encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(UserError, match=r"lacks 1 weights .*encoder\.layer\.1\.output"):
        open_folder(folder)


def adapter(folder: Path) -> None:
    """As peft leaves one; transformers would put it on the model without a word."""
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"")


def another_size(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = "esm.encoder.layer.1.output.dense.weight"
    weights[name] = weights[name][:, :-1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def broken(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0garbage")


def weightless(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def unknown_type(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "no_such_model"}))


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (adapter, "holds a model and an adapter; give model.adapter="),
        (broken, "is damaged or incomplete"),
        (another_size, r"has 1 weights in another size .*encoder.layer.1.output.*\(16, 31\)"),
        (weightless, "holds no weights"),
        (unknown_type, "cannot open the checkpoint .*no_such_model"),
        (own_code, "brings its own code; .* model.trust_remote_code=true"),
    ],
)
def test_a_damaged_checkpoint_is_one_sentence(
    esm_folder: Path, tmp_path: Path, damage: Any, message: str
) -> None:
    folder = Path(shutil.copytree(esm_folder, tmp_path / "copy"))
    damage(folder)

    with pytest.raises(UserError, match=message):
        open_folder(folder)


def test_settings_that_cannot_be(esm_folder: Path) -> None:
    for changes, message in (
        ({"layer": 3}, "layer=3 is not allowed; allowed are 0 to 2"),
        ({"pooling": "max"}, "allowed are mean, start, last"),
        ({"dtype": "float8"}, "allowed are auto, float32, bfloat16"),
        ({"device": "cuda:77"}, "device=cuda:77 is not available"),
    ):
        with pytest.raises(UserError, match=message):
            open_folder(esm_folder, **changes)
    with pytest.raises(UserError, match="neither a folder nor a hub id"):
        open_folder(Path("./nowhere"))
    with pytest.raises(UserError, match="org/nothing is not a folder, and the download"):
        open_folder(Path("org/nothing"))


def test_a_decoder_without_special_tokens(tmp_path: Path) -> None:
    """A causal model: no start token, learned positions that limit the length."""
    from transformers import GPT2Config, GPT2Model

    letters = list("ACDEFGHIKLMNPQRSTVWY")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=21, n_positions=64, n_embd=8, n_layer=2, n_head=2)
    GPT2Model(config).save_pretrained(tmp_path)
    word_tokenizer(tmp_path, [*letters, "<unk>"], unk_token="<unk>")
    backbone = open_folder(tmp_path)

    assert backbone.max_length == 64 and backbone.packing
    assert (backbone.alphabet.prefix, backbone.alphabet.suffix) == ((), ())
    rows = backbone.embed_residues(["ACDEFG", "AC"])
    np.testing.assert_allclose(rows[0][:2], rows[1], atol=1e-5, err_msg="causal")
    with pytest.raises(UserError, match="pooling=start needs a start token"):
        open_folder(tmp_path, pooling="start")


def test_an_encoder_of_an_encoder_decoder(tmp_path: Path) -> None:
    backbone = open_folder(make("prott5", tmp_path))

    assert backbone.max_length is None and not backbone.packing, "T5 takes no positions"
    assert backbone.embed_residues(["ACD"])[0].shape == (3, 8)


def test_a_text_model_is_refused(tmp_path: Path, esm_folder: Path) -> None:
    folder = Path(shutil.copytree(esm_folder, tmp_path / "copy"))
    for file in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (folder / file).unlink(missing_ok=True)
    word_tokenizer(folder, [*"abcd", "<unk>"], unk_token="<unk>")

    with pytest.raises(UserError, match="the tokenizer has no token for A, C"):
        open_folder(folder)


def test_window_is_zero_outside_the_chain_and_the_20() -> None:
    rows = Window("onehot", 3).embed_residues(["AXC"])[0].reshape(3, 3, 20)

    assert rows.sum(axis=2).tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert rows[0, 1].argmax() == 0 and rows[2, 1].argmax() == 1


def test_blosum62_is_symmetric_with_its_known_entries() -> None:
    table = Window("blosum62", 1).embed_residues(["ACDEFGHIKLMNPQRSTVWY"])[0]

    np.testing.assert_array_equal(table, table.T)
    assert table[18, 18] == 11 and table[0, 0] == 4 and table[1, 1] == 9  # W, A, C


def test_kmer_counts() -> None:
    row = Kmer(2).embed_proteins(["AAC"])[0]

    assert row[0] == pytest.approx(2 / 3) and row[1] == pytest.approx(1 / 3)
    assert row[20] == pytest.approx(0.5) and row[21] == pytest.approx(0.5)
    assert row[-1] == pytest.approx(np.log(3)) and len(row) == 421


def test_joined_chains_are_one_string_and_a_variant_is_its_own_chain(esm_folder: Path) -> None:
    questions = [("ACD", "WW"), ("MKV", "AC")]
    backbone = open_folder(esm_folder)
    assert "protein_embeddings" in backbone.abilities

    def rows(**readout: Any) -> Any:
        read = embedded_chains(
            backbone, Readout(**{"level": "protein", "kind": "regression", **readout}), questions
        )
        return protein_features(Embedder(backbone), read, "test")

    whole = backbone.embed_proteins([f"ACD{'G' * 25}WW", f"MKV{'G' * 25}AC"])
    np.testing.assert_allclose(rows(chains="joined"), whole, atol=TOLERANCE)
    first = backbone.embed_proteins(["ACD", "MKV"])
    np.testing.assert_allclose(rows(level="variant"), first, atol=TOLERANCE)
    np.testing.assert_allclose(rows()[:, :16], first, atol=TOLERANCE)
    assert rows().shape == (2, 32)
    backbone.max_length = 29  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="joined by their linker, chains have 30 residues"):
        rows(chains="joined")


def test_a_token_between_chains_is_the_linker(esm_folder: Path, tmp_path: Path) -> None:
    """ESM C's vocabulary has one; in its place ESM-2's has one that is never used."""
    folder = tmp_path / "breaks"
    shutil.copytree(esm_folder, folder)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text(vocabulary.read_text().replace("<null_1>", "|"))
    backbone = open_folder(folder)
    assert isinstance(backbone, Transformer)

    assert open_folder(esm_folder).linker == "G" * 25
    assert backbone.linker == "|" and len(backbone.alphabet.encode("AC|D")) == 6


@pytest.mark.shared
def test_esm2_8m_embeds_as_transformers_does() -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = SHARED / "models" / "esm2_t6_8M_encoder"
    backbone = open_folder(folder)
    module = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        reference = module(**tokenizer(CHAINS[5], return_tensors="pt")).last_hidden_state[0, 1:-1]

    assert "masked_log_probs" not in backbone.abilities, "the folder has no language model's head"
    np.testing.assert_allclose(
        backbone.embed_residues(CHAINS)[5], reference.numpy(), atol=TOLERANCE
    )

"""The catalogue's families that transformers opens, each as it is released, tiny and random."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.random import ESM_TOKENS
from benchmark.core import MaskedLogProbs, UserError
from tests.conftest import composed, yaml_names
from tests.test_backbones import open_folder

CHAIN = "MKTAYIAKQRQISFVKSHFSRQW"
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "initializer_range": 0.3,
}


def save_esm1b(folder: Path) -> None:
    """ESM-1b: learned positions, a norm before the blocks, vocab.txt."""
    from transformers import EsmConfig, EsmForMaskedLM

    special = ["<cls>", "<pad>", "<eos>", "<unk>"]
    (folder / "vocab.txt").write_text(
        "\n".join([*special, *ESM_TOKENS, ".", "-", "<null_1>", "<mask>"])
    )
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "EsmTokenizer"}')
    EsmForMaskedLM(
        EsmConfig(
            vocab_size=33,
            mask_token_id=32,
            pad_token_id=1,
            position_embedding_type="absolute",
            max_position_embeddings=1026,
            emb_layer_norm_before=True,
            token_dropout=True,
            **SMALL,
        )
    ).save_pretrained(folder)


def save_esmc(folder: Path) -> None:
    from transformers import EsmcConfig, EsmcForMaskedLM, EsmcTokenizer

    EsmcForMaskedLM(EsmcConfig(**SMALL)).save_pretrained(folder)
    EsmcTokenizer().save_pretrained(folder)


def save_protbert(folder: Path) -> None:
    """ProtBert: a config.json of 2020, which does not name the model's type."""
    from transformers import BertConfig, BertForMaskedLM

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *"LAGVESIKRDTPNQFYMHCWXUBZO"]))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    BertForMaskedLM(
        BertConfig(vocab_size=30, max_position_embeddings=400, **SMALL)
    ).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("save", "longest", "special"),
    [(save_esm1b, 1022, 2), (save_esmc, None, 2), (save_protbert, 398, 2)],
)
def test_masked_families(tmp_path: Path, save: Any, longest: int | None, special: int) -> None:
    """Rows, log-probabilities and maps are the module's own, by its own tokenizer."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    torch.manual_seed(0)
    save(tmp_path)
    backbone = open_folder(tmp_path)
    assert (backbone.max_length, backbone.alphabet.special) == (longest, special)
    assert isinstance(backbone, MaskedLogProbs)
    config = backbone.module.config
    module = AutoModelForMaskedLM.from_pretrained(tmp_path, config=config).eval()
    tokens = AutoTokenizer.from_pretrained(tmp_path, config=config)
    text = CHAIN if save is save_esmc else " ".join(CHAIN)
    with torch.inference_mode():
        states = module(**tokens(text, return_tensors="pt"), output_hidden_states=True)
    rows = backbone.embed_residues([CHAIN, CHAIN[:5]])[0]
    np.testing.assert_allclose(rows, states.hidden_states[-1][0, 1:-1], atol=1e-5)
    columns = [backbone.alphabet.ids[c] for c in "ACDEFGHIKLMNPQRSTVWY"]
    expected = states.logits[0, 1:-1, columns].log_softmax(-1)
    np.testing.assert_allclose(backbone.masked_log_probs([CHAIN])[0], expected, atol=1e-5)
    assert backbone.attentions([CHAIN])[0].shape == (8, len(CHAIN), len(CHAIN))


def test_an_encoder_with_sentencepiece(tmp_path: Path) -> None:
    """ProtT5: `spiece.model` alone, each residue a word, no start token, an end token."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
    from transformers import T5Config, T5ForConditionalGeneration

    letters = "ALGVSREDTIPKFQNYMHWCXBOUZ"
    text = tmp_path / "text"
    text.write_text("\n".join([" ".join(letters)] * 50))
    folder = tmp_path / "prott5"
    folder.mkdir()
    SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "spiece"),
        model_type="word",
        vocab_size=28,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    )
    T5ForConditionalGeneration(
        T5Config(vocab_size=128, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    ).save_pretrained(folder)
    pieces = SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    backbone = open_folder(folder)

    assert backbone.alphabet.encode(CHAIN) == [*pieces.encode(" ".join(CHAIN)), 1]
    assert backbone.embed_residues([CHAIN])[0].shape == (len(CHAIN), 8)
    as_x = open_folder(folder, read_as_x=composed("model=prott5").model.read_as_x)
    both = as_x.embed_residues(["AUZOB", "AXXXX"])
    np.testing.assert_array_equal(both[0], both[1])
    assert np.abs(backbone.embed_residues(["AUZOB"])[0] - both[0]).max() > 1e-4
    assert backbone.digest != as_x.digest, "what is stored of one is not taken for the other"


@pytest.mark.parametrize("name", yaml_names("model"))
def test_every_checkpoint_tells_its_facts_and_source(name: str) -> None:
    config = composed(f"model={name}", "++model.path=org/name").model
    if facts := config.get("facts"):
        numbers = ("parameters", "training_tokens", "training_flops")
        assert set(facts) == {*numbers, "licence", "source"}
        assert facts.source and all(type(facts[n]) in (int, float, type(None)) for n in numbers)


def test_facts_are_told(esm_folder: Path) -> None:
    facts = {"parameters": 12, "source": "counted"}

    assert open_folder(esm_folder, facts=facts).facts()["published"] == facts


def test_letters_to_read_as_x(esm_folder: Path) -> None:
    with pytest.raises(UserError, match="read_as_x=U1 is not allowed; give letters of residues"):
        open_folder(esm_folder, read_as_x="U1")

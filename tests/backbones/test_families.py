"""The catalogue's families that transformers opens, each as it is released, tiny and random."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import get_class

from benchmark.core import Backbone, UserError
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import FAMILIES, SHAPE, make
from tests.conftest import composed, yaml_names

CHAIN = "MKTAYIAKQRQISFVKSHFSRQW"


@pytest.mark.parametrize(
    ("family", "longest"), [("esm1b", 1022), ("esm1v", 252), ("esmc", None), ("protbert", 254)]
)
def test_masked_families(tmp_path: Path, family: str, longest: int | None) -> None:
    """Rows, log-probabilities and maps are the module's own, by its own tokenizer."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    backbone = open_folder(make(family, tmp_path))
    assert (backbone.max_length, backbone.alphabet.special) == (longest, 2)
    assert "masked_log_probs" in backbone.abilities
    config = backbone.module.config
    module = AutoModelForMaskedLM.from_pretrained(tmp_path, config=config).eval()
    tokens = AutoTokenizer.from_pretrained(tmp_path, config=config)
    text = CHAIN if family == "esmc" else " ".join(CHAIN)
    with torch.inference_mode():
        states = module(**tokens(text, return_tensors="pt"), output_hidden_states=True)
    rows = backbone.embed_residues([CHAIN, CHAIN[:5]])[0]
    np.testing.assert_allclose(rows, states.hidden_states[-1][0, 1:-1], atol=1e-5)
    columns = [backbone.alphabet.ids[c] for c in "ACDEFGHIKLMNPQRSTVWY"]
    expected = states.logits[0, 1:-1, columns].log_softmax(-1)
    np.testing.assert_allclose(backbone.masked_log_probs([CHAIN])[0], expected, atol=1e-5)
    assert backbone.attentions([CHAIN])[0].shape == (8, len(CHAIN), len(CHAIN))


@pytest.mark.parametrize("family", FAMILIES)
def test_families_are_packed_but_those_that_take_no_positions(family: str, tmp_path: Path) -> None:
    """Packed batches give what padded ones give, also where positions are counted from 2."""
    backbone = open_folder(make(family, tmp_path / family))
    chains = [CHAIN, CHAIN[:5], CHAIN[::-1]]
    assert backbone.packing == (family != "prott5")
    rows = backbone.embed_residues(chains)
    backbone.packing = False
    for row, other in zip(rows, backbone.embed_residues(chains), strict=True):
        np.testing.assert_allclose(row, other, atol=1e-4)


def test_attention_in_windows_is_not_packed(tmp_path: Path) -> None:
    """Packed, it would see whole chains; chains longer than the window tell."""
    from transformers import MistralConfig, MistralForCausalLM

    llama = make("llama", tmp_path / "llama")
    folder = make("llama", tmp_path / "mistral")
    config = MistralConfig(
        vocab_size=24,
        bos_token_id=0,
        eos_token_id=1,
        sliding_window=64,
        num_key_value_heads=4,
        **SHAPE,
    )
    MistralForCausalLM(config).save_pretrained(folder)
    chains = [CHAIN * 9, CHAIN, CHAIN[::-1] * 5]
    windows = open_folder(folder)

    assert open_folder(llama).packing and not windows.packing
    for row, chain in zip(windows.embed_residues(chains), chains, strict=True):
        np.testing.assert_allclose(row, windows.embed_residues([chain])[0], atol=1e-4)


def test_an_encoder_with_sentencepiece(tmp_path: Path) -> None:
    """ProtT5: `spiece.model` alone, each residue a word, no start token, an end token."""
    from sentencepiece import SentencePieceProcessor

    folder = make("prott5", tmp_path)
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
def test_every_model_yaml_composes_with_facts_and_source(name: str) -> None:
    config = composed(f"model={name}", "++model.path=org/name").model
    assert issubclass(get_class(config._target_), Backbone)
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

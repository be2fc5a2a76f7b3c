"""Token ids of whole chains are those of the checkpoint's own tokenizer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.huggingface import note
from benchmark.core import RESIDUES, Example, FitContext, Readout, UserError
from benchmark.results.identity import deciding
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import FAMILIES, OTHERS, make, word_tokenizer
from tests.conftest import SHARED, composed, random_chain
from tests.learning import answer, method

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate((40, 7, 90))]
SPACED = ("protbert", "prott5", "t5_encoder")
LISTED = ("antiberty", "sapiens", "prott5", "t5_encoder")
"""Without a tokenizer of transformers: a list of tokens or a SentencePiece model."""


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_ids_are_those_of_the_own_tokenizer(family: str, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    backbone = open_folder(make(family, tmp_path))
    if family in LISTED:
        return
    tokens = AutoTokenizer.from_pretrained(tmp_path, config=backbone.module.config)
    for chain in CHAINS:
        text = " ".join(chain) if family in SPACED else chain
        assert backbone.alphabet.encode(chain) == tokens(text)["input_ids"]


def merging(folder: Path, kind: str) -> Any:
    """A GPT-2 whose tokenizer was trained on chains."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import AutoModel, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    settings: dict[str, Any] = {"vocab_size": 120, "special_tokens": special}
    if kind == "unigram":
        tokenizer, trainer = Tokenizer(models.Unigram()), trainers.UnigramTrainer(**settings)
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
        trainer = trainers.WordPieceTrainer(**settings)
    else:
        tokenizer, trainer = Tokenizer(models.BPE()), trainers.BpeTrainer(**settings)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    parts = [chain[i : i + 4] for chain in CHAINS for i in range(0, len(chain), 4)]
    rng = np.random.default_rng(1)
    corpus = ["".join(rng.choice(parts, 20)) for _ in range(200)]
    tokenizer.train_from_iterator([*corpus, *RESIDUES], trainer)
    if kind != "bpe":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
        )
    words = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **words)
    fast.save_pretrained(folder)
    shape = {"n_positions": 256, "n_embd": 16, "n_layer": 2, "n_head": 4}
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer.get_vocab()), initializer_range=0.3, **shape)
    GPT2LMHeadModel(config).save_pretrained(folder)
    return fast, AutoModel.from_pretrained(folder).eval()


@pytest.mark.parametrize("kind", ["bpe", "unigram", "wordpiece"])
def test_a_tokenizer_that_merges_residues(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One vector a protein, by the tokens that the model knows; all else is refused."""
    tokenizer, module = merging(tmp_path, kind)
    note.cache_clear()
    backbone = open_folder(tmp_path)

    assert backbone.abilities == {"protein_embeddings"}
    assert "note: the tokenizer merges residues into tokens such as" in capsys.readouterr().err
    table = backbone.embed_proteins(CHAINS)
    for row, chain in zip(table, CHAINS, strict=True):
        ids = tokenizer(chain)["input_ids"]
        assert backbone.alphabet.encode(chain) == ids and len(ids) < len(chain)
        with torch.inference_mode():
            states = module(input_ids=torch.tensor([ids])).last_hidden_state[0]
        inner = states if kind == "bpe" else states[1:-1]
        np.testing.assert_allclose(row, inner.mean(0), atol=1e-5)
    before = backbone.usage()["tokens"]
    backbone.embed_proteins(CHAINS[:1])
    assert backbone.usage()["tokens"] - before == len(tokenizer(CHAINS[0])["input_ids"])
    if kind == "wordpiece":
        with pytest.raises(UserError, match="a chain of 150 residues the unknown token; give shor"):
            backbone.embed_proteins(["MK" * 75])
    for call in (backbone.embed_residues, backbone.causal_log_probs, backbone.log_likelihoods):
        with pytest.raises(UserError, match="the tokenizer merges residues"):
            call(CHAINS)

    train = [Example((chain,), float(i), f"id{i}", f"g{i}") for i, chain in enumerate(CHAINS * 3)]
    fit = method("lora", "epochs=1").fit
    learned = fit(train, train[:3], FitContext(backbone, Readout("protein", "regression"), 0))
    assert np.isfinite(answer(learned, train)).all()
    residues = [Example((c,), np.zeros(len(c)), f"id{i}", f"g{i}") for i, c in enumerate(CHAINS)]
    with pytest.raises(UserError, match="the tokenizer merges residues"):
        fit(residues, residues, FitContext(backbone, Readout("residue", "regression"), 0))


def test_a_tokenizer_that_changes_chains_is_refused(tmp_path: Path) -> None:
    """Its vocabulary has every residue, and a normaliser replaces one."""
    folder = make("llama", tmp_path)
    raw = json.loads((folder / "tokenizer.json").read_text())
    raw["normalizer"] = {"type": "Replace", "pattern": {"String": "I"}, "content": "L"}
    (folder / "tokenizer.json").write_text(json.dumps(raw))

    with pytest.raises(UserError, match="gives whole chains other tokens than their residues"):
        open_folder(folder)


@pytest.mark.parametrize("split", [None, {"type": "WhitespaceSplit"}])
def test_residues_may_be_given_as_words(split: Any, tmp_path: Path) -> None:
    """A tokenizer that reads residues apart from each other, with spaces or as a list."""
    folder = make("llama", tmp_path)
    before = open_folder(folder).alphabet.encode(CHAINS[0])
    raw = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**raw, "pre_tokenizer": split}))

    assert open_folder(folder).alphabet.encode(CHAINS[0]) == before


def test_a_sentencepiece_model_that_reads_residues_otherwise_is_refused(tmp_path: Path) -> None:
    """A model of characters, to which the mark of a word's begin is a token of its own."""
    from sentencepiece import SentencePieceTrainer

    folder = make("prott5", tmp_path)
    text = tmp_path / "text"
    text.write_text("\n".join(["ALGVSREDTIPKFQNYMHWC" * 3] * 9))
    SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "spiece"),
        model_type="char",
        vocab_size=24,
        minloglevel=2,
        **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    )
    with pytest.raises(UserError, match=r"spiece\.model gives chains other tokens than their"):
        open_folder(folder)


def test_tokens_of_several_residues_in_a_list(tmp_path: Path) -> None:
    folder = make("sapiens", tmp_path)
    words = (folder / "vocab.txt").read_text()
    (folder / "vocab.txt").write_text(words.replace("<mask>", "AAA\n<mask>"))

    with pytest.raises(UserError, match=r"tokens of several residues \(AAA\) and no tokenizer"):
        open_folder(folder)


@pytest.mark.parametrize("family", ["prott5", "gpt2", "esm2"])
def test_a_prefix_stands_before_the_residues(family: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path)
    token = {"prott5": "<AA2fold>", "gpt2": "</s>", "esm2": "<null_1>"}[family]
    if family == "prott5":
        (folder / "added_tokens.json").write_text(json.dumps({token: 100}))
    plain, prefixed = open_folder(folder), open_folder(folder, prefix=token)

    start = len(plain.alphabet.prefix)
    ids = plain.alphabet.encode("MKV")
    own = prefixed.alphabet.encode("MKV")
    assert own[:start] + own[start + 1 :] == ids
    if family != "prott5":
        from transformers import AutoTokenizer

        tokens = AutoTokenizer.from_pretrained(folder)
        assert own == tokens(f"{token}MKV")["input_ids"]
    rows, others = (b.embed_residues(["MKV"])[0] for b in (plain, prefixed))
    assert rows.shape == others.shape and np.abs(rows - others).max() > 1e-3
    assert plain.digest != prefixed.digest
    with pytest.raises(UserError, match=r"has no token <AA9fold>; it has .*<"):
        open_folder(folder, prefix="<AA9fold>")


def test_a_prefix_that_a_model_wants_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make("prott5", tmp_path)
    (folder / "added_tokens.json").write_text('{"<AA2fold>": 100}')
    note.cache_clear()
    open_folder(folder)
    assert "note: the tokenizer has <AA2fold>; model.prefix=<AA2fold>" in capsys.readouterr().err
    note.cache_clear()
    open_folder(folder, prefix="<AA2fold>")
    assert not capsys.readouterr().err


def test_settings_that_are_not_given_change_no_key() -> None:
    settings = dict(composed("model=huggingface", "model.path=x").model)
    old = {name: value for name, value in settings.items() if name not in ("prefix", "adapter")}
    assert deciding("model", settings) == deciding("model", old)
    prefixed = deciding("model", {**settings, "prefix": "<s>", "adapter": "some/folder"})
    assert prefixed == {**deciding("model", old), "prefix": "<s>"}, "an adapter is in the digest"


@pytest.mark.shared
def test_public_reports() -> None:
    cases = SHARED / "cases"
    bpe = open_folder(cases / "05-bpe-tokens" / "bpe_gpt2")
    assert bpe.abilities == {"protein_embeddings"}
    assert len(bpe.alphabet.encode("MKTAYIAKQRQISFVKSHFSRQW")) == 14
    folder = cases / "16-prefix-prostt5" / "prostt5_ed"
    plain, prefixed = (
        open_folder(folder, prefix=prefix).embed_proteins(CHAINS) for prefix in ("", "<AA2fold>")
    )
    assert np.abs(plain - prefixed).max() > 0.05


def test_letters_of_structures_beside_residues_are_no_merge(tmp_path: Path) -> None:
    """ProstT5's vocabulary has lower-case letters, too."""
    folder = make("llama", tmp_path)
    tokens = ["<s>", "</s>", "<unk>", *"ACDEFGHIKLMNPQRSTVWYXacd"]
    word_tokenizer(folder, tokens[:24], "<s> $A </s>", unk_token="<unk>", bos_token="<s>")
    assert "residue_embeddings" in open_folder(folder).abilities

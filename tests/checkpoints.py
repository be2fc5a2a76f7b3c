"""Tiny checkpoints with random weights, one for each family that transformers opens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmark.backbones.random import ESM_TOKENS
from benchmark.core import RESIDUES

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "initializer_range": 0.3,
    "max_position_embeddings": 256,
}


def word_tokenizer(folder: Path, tokens: list[str], template: str = "", **special: str) -> None:
    """A tokenizer with a token for each letter; `template` like "<s> $A </s>"."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=special.get("unk_token")))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    if template:
        used = [(word, words[word]) for word in template.split() if word != "$A"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=used
        )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)


def esm2(folder: Path) -> None:
    """Rotary positions, token dropout, a contact head."""
    esm(folder, position_embedding_type="rotary", token_dropout=True)


def esm1b(folder: Path) -> None:
    """Learned positions that are counted from after the padding index."""
    esm(folder, position_embedding_type="absolute", token_dropout=True)


def esm1v(folder: Path) -> None:
    """As ESM-1b, with a layer norm before the first layer."""
    esm(folder, position_embedding_type="absolute", emb_layer_norm_before=True)


def esm(folder: Path, **changes: Any) -> None:
    """Save as a masked language model is on the hub."""
    from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

    special = ["<cls>", "<pad>", "<eos>", "<unk>"]
    tokens = [*special, *ESM_TOKENS, ".", "-", "<null_1>", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    config = EsmConfig(vocab_size=33, mask_token_id=32, pad_token_id=1, **SHAPE, **changes)
    EsmForMaskedLM(config).save_pretrained(folder)
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)


def esmc(folder: Path) -> None:
    """ESM C, as transformers has it."""
    from transformers import EsmcConfig, EsmcForMaskedLM, EsmcTokenizer

    EsmcForMaskedLM(EsmcConfig(**SHAPE)).save_pretrained(folder)
    EsmcTokenizer().save_pretrained(folder)


def protbert(folder: Path) -> None:
    """A BERT whose tokenizer is a list of words."""
    from transformers import BertConfig, BertForMaskedLM, BertTokenizer

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *RESIDUES, "X", "U", "B", "Z", "O"]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    BertForMaskedLM(BertConfig(vocab_size=len(tokens), **SHAPE)).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False).save_pretrained(folder)


def antiberty(folder: Path) -> None:
    """A BERT with heads of its own, weights as .bin, and nothing but a list of tokens."""
    from transformers import BertConfig, BertForMaskedLM

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *RESIDUES]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    module = BertForMaskedLM(BertConfig(vocab_size=len(tokens), **SHAPE))
    module.config.save_pretrained(folder)
    state = {**module.state_dict(), "cls.species_prediction.weight": torch.zeros(6, 16)}
    torch.save(state, folder / "pytorch_model.bin")


def sapiens(folder: Path) -> None:
    """A RoBERTa of antibodies: nothing but a list of tokens."""
    from transformers import RobertaConfig, RobertaForMaskedLM

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *RESIDUES, "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    config = RobertaConfig(
        vocab_size=len(tokens), pad_token_id=1, bos_token_id=0, eos_token_id=2, **SHAPE
    )
    RobertaForMaskedLM(config).save_pretrained(folder)


def prott5(folder: Path) -> None:
    """The encoder of an encoder-decoder, relative positions, SentencePiece's tokens."""
    from transformers import T5Config, T5ForConditionalGeneration

    tokens = ["<pad>", "</s>", "<unk>", *(f"▁{letter}" for letter in RESIDUES + "X")]
    config = T5Config(
        vocab_size=len(tokens), d_model=16, d_kv=4, d_ff=32, num_layers=2, num_heads=4,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    ).save_pretrained(folder)


def gpt2(folder: Path) -> None:
    """A causal model with a start token."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokens = ["<s>", "</s>", "<unk>", *RESIDUES]
    config = GPT2Config(
        vocab_size=len(tokens), n_positions=256, n_embd=16, n_layer=2, n_head=4,
        initializer_range=0.3, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    word_tokenizer(
        folder, tokens, "<s> $A </s>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


FAMILIES: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (esm2, esm1b, esm1v, esmc, protbert, antiberty, sapiens, prott5, gpt2)
}


def make(family: str, folder: Path) -> Path:
    """Save a tiny checkpoint of a family; the same bits each time."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        FAMILIES[family](folder)
    assert json.loads((folder / "config.json").read_text())
    return folder

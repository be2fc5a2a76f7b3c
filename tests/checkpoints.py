"""Tiny checkpoints with random weights, one for each family that transformers opens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.alphabet import ESM_TOKENS
from benchmark.backbones.baselines.ngram import count_triples
from benchmark.core import RESIDUES

SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "initializer_range": 0.3,
    "max_position_embeddings": 256,
}
SHARES = np.arange(1, 21) / 210
"""How often a toy corpus has each residue."""


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
    """Learned positions that start after the padding index, and a norm before the blocks."""
    esm(
        folder,
        position_embedding_type="absolute",
        emb_layer_norm_before=True,
        token_dropout=True,
        max_position_embeddings=1026,
    )


def esm1v(folder: Path) -> None:
    """ESM-1b without the norm before the blocks."""
    esm(folder, position_embedding_type="absolute", token_dropout=True)


def esm(folder: Path, **changes: Any) -> None:
    """Save a masked language model in the layout of the hub."""
    from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

    special = ["<cls>", "<pad>", "<eos>", "<unk>"]
    tokens = [*special, *ESM_TOKENS, ".", "-", "<null_1>", "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    config = EsmConfig(vocab_size=33, mask_token_id=32, pad_token_id=1, **{**SHAPE, **changes})
    EsmForMaskedLM(config).save_pretrained(folder)
    EsmTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)


def esmc(folder: Path) -> None:
    """ESM C, as implemented in transformers."""
    from transformers import EsmcConfig, EsmcForMaskedLM, EsmcTokenizer

    EsmcForMaskedLM(EsmcConfig(**SHAPE)).save_pretrained(folder)
    EsmcTokenizer().save_pretrained(folder)


def protbert(folder: Path) -> None:
    """A BERT with a vocabulary file and an old config.json without `model_type`."""
    from transformers import BertConfig, BertForMaskedLM

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (folder / "vocab.txt").write_text("\n".join([*special, *"LAGVESIKRDTPNQFYMHCWXUBZO"]))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    BertForMaskedLM(BertConfig(vocab_size=30, **SHAPE)).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))


def antiberty(folder: Path) -> None:
    """A BERT with additional heads, .bin weights, and only a vocabulary file as tokenizer."""
    from transformers import BertConfig, BertForMaskedLM

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *RESIDUES]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    module = BertForMaskedLM(BertConfig(vocab_size=len(tokens), **SHAPE))
    module.config.save_pretrained(folder)
    state = {**module.state_dict(), "cls.species_prediction.weight": torch.zeros(6, 16)}
    torch.save(state, folder / "pytorch_model.bin")


def sapiens(folder: Path) -> None:
    """A RoBERTa for antibodies with only a vocabulary file as tokenizer."""
    from transformers import RobertaConfig, RobertaForMaskedLM

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *RESIDUES, "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(tokens))
    config = RobertaConfig(
        vocab_size=len(tokens), pad_token_id=1, bos_token_id=0, eos_token_id=2, **SHAPE
    )
    RobertaForMaskedLM(config).save_pretrained(folder)


def prott5(folder: Path) -> None:
    """The encoder of an encoder-decoder; a `spiece.model` in which each residue is a word."""
    from sentencepiece import SentencePieceTrainer
    from transformers import T5Config, T5ForConditionalGeneration

    text = folder / "text"
    text.write_text("\n".join([" ".join("ALGVSREDTIPKFQNYMHWCXBOUZ")] * 50))
    SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "spiece"),
        model_type="word",
        vocab_size=28,
        hard_vocab_limit=False,
        minloglevel=2,
        **{"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
    )
    text.unlink()
    T5ForConditionalGeneration(
        T5Config(vocab_size=128, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
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


def llama(folder: Path) -> None:
    """A causal model with rotary positions and a start token."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = ["<s>", "</s>", "<unk>", *RESIDUES, "X"]
    config = LlamaConfig(vocab_size=len(tokens), bos_token_id=0, eos_token_id=1, **SHAPE)
    LlamaForCausalLM(config).save_pretrained(folder)
    word_tokenizer(
        folder, tokens, "<s> $A </s>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def mamba(folder: Path) -> None:
    """A state-space model, which has no attention."""
    from transformers import MambaConfig, MambaForCausalLM

    states(folder, MambaForCausalLM, MambaConfig, state_size=8)


def mamba2(folder: Path) -> None:
    """A state-space model whose configuration has heads, but none of attention."""
    from transformers import Mamba2Config, Mamba2ForCausalLM

    states(folder, Mamba2ForCausalLM, Mamba2Config, num_heads=8, head_dim=4, state_size=8)


def states(folder: Path, kind: Any, config: Any, **changes: Any) -> None:
    """Save a state-space model with a start token."""
    tokens = ["<pad>", "<s>", "</s>", "<unk>", *RESIDUES, "X"]
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "initializer_range": 0.3, "expand": 2}
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    kind(config(vocab_size=25, **shape, **special, **changes)).save_pretrained(folder)
    word_tokenizer(
        folder, tokens, "<s> $A </s>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def t5_encoder(folder: Path) -> None:
    """The encoder alone, as transformers 5 saves it: not an encoder-decoder by its flag."""
    from transformers import AutoModelForTextEncoding

    prott5(folder)
    encoder: Any = AutoModelForTextEncoding.from_pretrained(folder)
    encoder.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    assert not config["is_encoder_decoder"] and config["architectures"] == ["T5EncoderModel"]


def bart(folder: Path) -> None:
    """An encoder-decoder whose encoder has no class of its own."""
    from transformers import BartConfig, BartForConditionalGeneration

    tokens = ["<s>", "<pad>", "</s>", "<unk>", *RESIDUES]
    layers = {"encoder_layers": 2, "decoder_layers": 1, "d_model": 16, "init_std": 0.3}
    width = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "max_position_embeddings": 256}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
    config = BartConfig(vocab_size=len(tokens), **layers, **width, **heads)
    BartForConditionalGeneration(config).save_pretrained(folder)
    word_tokenizer(folder, tokens, "<s> $A </s>", unk_token="<unk>")


def albert(folder: Path) -> None:
    """A masked model whose layers share one block, as ProtAlbert's."""
    from transformers import AlbertConfig, AlbertForMaskedLM

    tokens = ["<pad>", "<s>", "</s>", "<unk>", "<mask>", *RESIDUES]
    config = AlbertConfig(vocab_size=len(tokens), embedding_size=16, pad_token_id=0, **SHAPE)
    AlbertForMaskedLM(config).save_pretrained(folder)
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}
    word_tokenizer(folder, tokens, "<s> $A </s>", **special)


FAMILIES: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (esm2, esm1b, esm1v, esmc, protbert, antiberty, sapiens, prott5, gpt2, llama)
}
OTHERS: dict[str, Callable[[Path], None]] = {
    make.__name__: make for make in (mamba, mamba2, t5_encoder, bart, albert)
}
"""Architectures that no yaml of conf/model names."""


def make(family: str, folder: Path) -> Path:
    """Save a tiny checkpoint of a family; identical bits each time."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        (FAMILIES | OTHERS)[family](folder)
    return folder


def save_proteinglm(folder: Path, **settings: Any) -> Path:
    """A tiny ProteinGLM with random weights and a released config.json; saved once a folder."""
    from benchmark.backbones.proteinglm_module import (
        IMPLEMENTED,
        ProteinGLMConfig,
        ProteinGLMForLanguageModeling,
    )

    values = IMPLEMENTED | {
        "num_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 4,
        "kv_channels": 4,
        "ffn_hidden_size": 24,
        "padded_vocab_size": 128,
        "seq_length": 1024,
        "layernorm_epsilon": 1e-5,
        "post_layer_norm": True,
        "rotary_embedding_2d": False,
        "is_causal": False,
        "initializer_range": 0.3,
    }
    values |= settings
    folder = folder / f"tiny-proteinglm-{'clm' if values['is_causal'] else 'mlm'}"
    if not folder.exists():
        torch.manual_seed(0)
        ProteinGLMForLanguageModeling(ProteinGLMConfig(**values)).save_pretrained(folder)
        config = {"architectures": ["ProteinGLMModel"], "model_type": "ProteinPGLM", **values}
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_progen2(folder: Path) -> Path:
    """A tiny ProGen2 with random weights in the layout of the hub; saved once a folder."""
    from safetensors.torch import save_file
    from transformers import CodeGenConfig, CodeGenForCausalLM

    folder = folder / "tiny-progen2"
    if not folder.exists():
        folder.mkdir()
        shape = {"n_layer": 2, "n_head": 8, "n_positions": 256, "rotary_dim": 4}
        torch.manual_seed(0)
        module = CodeGenForCausalLM(
            CodeGenConfig(n_embd=64, vocab_size=32, initializer_range=0.3, **shape)
        )
        weights = dict(module.state_dict())
        weights["transformer.h.0.attn.bias"] = torch.ones(4, 4, dtype=torch.bool)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        config = {"model_type": "progen", "embed_dim": 64, **shape}
        config |= {"vocab_size_emb": 32, "vocab_size_lm_head": 32, "repetition_penalty": 9.0}
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_counts(folder: Path) -> Path:
    """Counts of a toy corpus for the n-gram models; saved once a folder."""
    path = folder / "counts.npz"
    if not path.exists():
        rng = np.random.default_rng(0)
        chains = ["".join(rng.choice(list(RESIDUES), 50, p=SHARES)) for _ in range(200)]
        np.savez(path, triples=count_triples(chains))
    return path


def save_esm3(folder: Path) -> Path:
    """A tiny ESM3 with random weights in the released layout; skips without the extra `esm`."""
    esm3 = pytest.importorskip("esm.models.esm3", reason="needs the extra esm, Python 3.12")
    folder = folder / "tiny-esm3"
    if not folder.exists():
        (folder / "data" / "weights").mkdir(parents=True)
        torch.manual_seed(0)
        model = esm3.ESM3(128, 2, 4, 2, None, None, None, None)
        torch.save(model.state_dict(), folder / "data" / "weights" / "esm3_sm_open_v1.pth")
    return folder

"""ProteinGLM (xTrimoPGLM), masked and causal, without code from the hub.

python -m benchmark model=mlm1b
python -m benchmark model=proteinglm model.path=checkpoints/step-1000
"""

from pathlib import Path
from typing import Any

import torch

from benchmark.backbones.alphabet import ESM_TOKENS, Alphabet, numbered
from benchmark.backbones.checkpoint import read_config
from benchmark.backbones.loading import load
from benchmark.backbones.pretrained import Opened, Pretrained
from benchmark.backbones.transformer import Objective
from benchmark.core import MASK

LETTERS = numbered(ESM_TOKENS, 1)
"""Tokens 1 to 25; 0 pads, 26 and 27 are `.` and `-`."""
TOKEN_MASK, GENERATION_MASK, END_OF_DOCUMENT = 28, 29, 31
START_OF_PIECE, END_OF_PIECE, END = 32, 33, 34


class ProteinGLM(Pretrained):
    """A released checkpoint or one of its architecture, masked or causal by `config.json`."""

    VERSION = 1

    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Load it by its original parameter names; unknown weights are refused."""
        from benchmark.backbones import proteinglm_module

        read_config(folder)
        config: Any = proteinglm_module.ProteinGLMConfig.from_pretrained(folder)
        kind = proteinglm_module.ProteinGLMForLanguageModeling
        base, whole, _, unused = load(kind, folder, path, device_map, dtype, config=config)
        objective: Objective = "causal" if config.is_causal else "masked"
        alphabet = causal_alphabet() if config.is_causal else masked_alphabet()
        limit = config.seq_length - alphabet.special
        return Opened(base, alphabet, limit, whole, objective, False, unused)


def masked_alphabet() -> Alphabet:
    """Residues and the end token, no start token."""
    return Alphabet({**LETTERS, MASK: TOKEN_MASK}, prefix=(), suffix=(END,), pad=0)


def causal_alphabet() -> Alphabet:
    """The prompt of the releases' chat template, then residues.

    No source says which token ends a chain in the releases. GLM has the end of a piece, the
    tokenizer an end token, and the end of a document separates training sequences: all count.
    """
    prefix = (GENERATION_MASK, START_OF_PIECE, END)
    ends = (END_OF_PIECE, END, END_OF_DOCUMENT)
    return Alphabet(LETTERS, prefix, suffix=(), pad=0, ends=ends)

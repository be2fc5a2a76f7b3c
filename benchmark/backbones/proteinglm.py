"""ProteinGLM (xTrimoPGLM), masked and causal, without code from the hub.

python -m benchmark model=mlm1b
python -m benchmark model=proteinglm model.path=checkpoints/step-1000
"""

from pathlib import Path
from typing import Any

import torch

from benchmark.backbones.alphabet import Alphabet
from benchmark.backbones.pretrained import Opened, Pretrained, load
from benchmark.backbones.transformer import Objective
from benchmark.core import MASK

LETTERS = "LAGVSERTIDPKQNFYMHWCXBUZO"
"""Tokens 1 to 25; 0 pads, 26 and 27 are `.` and `-`."""
TOKEN_MASK, GENERATION_MASK, END_OF_DOCUMENT, START_OF_PIECE, END_OF_PIECE, END = (
    *(28, 29, 31, 32, 33, 34),
)


class ProteinGLM(Pretrained):
    """A released checkpoint or one of its architecture, masked or causal by `config.json`."""

    VERSION = 1

    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Load it by its original parameter names; unknown weights are refused."""
        from benchmark.backbones.proteinglm_module import (
            ProteinGLMConfig,
            ProteinGLMForLanguageModeling,
        )

        config: Any = ProteinGLMConfig.from_pretrained(folder)
        base, whole, _ = load(
            ProteinGLMForLanguageModeling,
            *(folder, path, device_map, dtype),
            config=config,
            constants=("inv_freq",),  # releases may store the rotary frequencies
        )
        objective: Objective = "causal" if config.is_causal else "masked"
        alphabet = causal_alphabet() if config.is_causal else masked_alphabet()
        limit = config.seq_length - alphabet.special
        return Opened(base, alphabet, limit, whole, objective, contact_head=False)


def letters() -> dict[str, int]:
    """Ids of the letters; J (leucine or isoleucine) has no token and is read as X."""
    ids = {letter: index for index, letter in enumerate(LETTERS, start=1)}
    return {**ids, "J": ids["X"]}


def masked_alphabet() -> Alphabet:
    """Residues and the end token, no start token."""
    return Alphabet({**letters(), MASK: TOKEN_MASK}, prefix=(), suffix=(END,), pad=0)


def causal_alphabet() -> Alphabet:
    """The prompt of the releases' chat template, then residues.

    No source says which token ends a chain in the releases. GLM has the end of a piece, the
    tokenizer an end token, and the end of a document separates training sequences: all count.
    """
    prefix = (GENERATION_MASK, START_OF_PIECE, END)
    ends = (END_OF_PIECE, END, END_OF_DOCUMENT)
    return Alphabet(letters(), prefix, suffix=(), pad=0, ends=ends)

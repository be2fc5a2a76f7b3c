"""ProGen2 (Nijkamp et al. 2023), native: the authors' checkpoints on transformers' CodeGen.

python -m benchmark model=progen2_small
python -m benchmark model=progen2_small model.path=checkpoints/step-1000
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.backbones.alphabet import Alphabet, numbered
from benchmark.backbones.checkpoint import read_config
from benchmark.backbones.device import inference
from benchmark.backbones.loading import load
from benchmark.backbones.pretrained import Opened, Pretrained
from benchmark.core import UserError

LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXYZ"
"""Tokens 5 to 29; the authors score a residue among these 25."""
FIRST, PAD, START, END = 5, 0, 3, 4
"""A chain is `1`, its residues from N to C, `2`; trained on `2`, C to N, `1`, too."""
BLOCKS, CODEGEN_BLOCKS = 8, 4
"""Parts of the fused projection, each with its heads' queries, values and keys."""


class ProGen2(Pretrained):
    """A released checkpoint, or one of its architecture."""

    VERSION = 1

    def open(self, folder: Path, path: str, device_map: Any, dtype: torch.dtype) -> Opened:
        """Load it unchanged, then order the rows of each fused projection as CodeGen does."""
        from transformers import CodeGenForCausalLM

        config = codegen_config(folder)
        base, whole, _, unused = load(
            CodeGenForCausalLM, folder, path, device_map, dtype, config=config
        )
        if any(parameter.is_meta for parameter in base.parameters()):
            raise UserError("a ProGen2 cannot be offloaded to disk; leave model.device_map out")
        part: Any
        for name, part in base.named_modules():
            if name.endswith(".qkv_proj"):
                reorder(part.weight.data)
        ids = numbered(LETTERS, FIRST)
        alphabet = Alphabet(ids, prefix=(START,), suffix=(END,), pad=PAD, ends=(END,))
        return Opened(base, alphabet, config.n_positions - 2, whole, "causal", False, unused)

    def log_likelihoods(self, chains: Sequence[str]) -> NDArray[np.float64]:
        """Mean over the residues, and over both directions, as the authors score."""
        self.require("causal_log_probs", "this call")
        ids, mask = self.ids(chains)
        positions = torch.arange(ids.shape[1], device=ids.device)
        backwards = (mask.sum(dim=1, keepdim=True) - 1 - positions).clamp(min=0)
        both = []
        for row in (ids, ids.gather(1, backwards)):
            with self.counting(self.language_model, "logits", chains):
                both.append(self.direction(row, mask))
        return (both[0] + both[1]) / 2

    def direction(self, ids: torch.Tensor, mask: torch.Tensor) -> NDArray[np.float64]:
        """Mean log-likelihood of each row's residues; (B, T) token ids, terminals at both ends."""
        with inference():
            logits = self.language_model(input_ids=ids, attention_mask=mask).logits
            letters = logits[:, :-1, FIRST : FIRST + len(LETTERS)].double().log_softmax(-1)
        letter = ids[:, 1:] - FIRST
        residues = (letter >= 0) & (letter < len(LETTERS)) & mask[:, 1:].bool()
        found = letters.gather(-1, letter.clamp(0, len(LETTERS) - 1)[..., None])[..., 0]
        means = (found * residues).sum(dim=1) / residues.sum(dim=1)
        result: NDArray[np.float64] = means.cpu().numpy()
        return result


def codegen_config(folder: Path) -> Any:
    """Read the authors' `config.json`, or that of the copies on the hub, which rename keys."""
    from transformers import CodeGenConfig

    raw: Any = read_config(folder)
    if raw.get("model_type") != "progen":
        raise UserError(
            f"config.json says model_type={raw.get('model_type')}, so it is not a ProGen2; "
            "other architectures open with model=huggingface"
        )
    vocabulary = raw.get("vocab_size_emb", raw.get("vocab_size"))
    if (out := raw.get("vocab_size_lm_head", vocabulary)) != vocabulary:
        raise UserError(
            f"config.json says vocab_size_emb={vocabulary} and vocab_size_lm_head={out}; "
            "a ProGen2 with additional tokens is not supported"
        )
    if raw["n_head"] % BLOCKS:
        raise UserError(f"config.json says n_head={raw['n_head']}; give a multiple of {BLOCKS}")
    same = ("n_positions", "n_layer", "n_head", "rotary_dim", "n_inner", "activation_function")
    return CodeGenConfig(
        **{key: raw[key] for key in (*same, "layer_norm_epsilon") if key in raw},
        n_embd=raw.get("n_embd", raw.get("embed_dim")),
        vocab_size=vocabulary,
        tie_word_embeddings=False,
    )


def reorder(weight: torch.Tensor) -> None:
    """From blocks of (query, value, key) to fewer, larger such blocks, in place; (3 dim, dim)."""
    parts = weight.view(CODEGEN_BLOCKS, BLOCKS // CODEGEN_BLOCKS, 3, -1, weight.shape[1])
    weight.copy_(parts.transpose(1, 2).reshape(weight.shape))

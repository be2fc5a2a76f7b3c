"""Sampling of new chains from a causal language model."""

from collections.abc import Sequence
from typing import Any

import torch

from benchmark.backbones.device import inference
from benchmark.backbones.flops import Batch, watching
from benchmark.core import RESIDUES


def sample(
    model: Any,
    prompts: Sequence[str],
    *,
    max_length: int,
    temperature: float,
    top_p: float,
    seed: int,
) -> list[str]:
    """Continue each prompt by nucleus sampling of the 20 residues (`Backbone.sample`).

    model: a causal `Transformer`.
    """
    letters = {model.alphabet.ids[residue]: residue for residue in RESIDUES}
    ends = model.alphabet.ends
    allowed = [*letters, *ends]

    def legal(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        forbidden = torch.full_like(scores, -torch.inf)
        forbidden[:, allowed] = 0
        return scores + forbidden

    drawn: dict[int, str] = {}
    devices = [model.device] if model.device.type == "cuda" else []
    with inference(), torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        for length in sorted({len(prompt) for prompt in prompts}):  # no padding within a batch
            rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            encoded = [[model.alphabet.ids[residue] for residue in prompts[row]] for row in rows]
            start = [[*model.alphabet.prefix, *tokens] for tokens in encoded]
            ids = torch.tensor(start, device=model.device)
            with watching(model.language_model, model.layers) as seen:
                found = model.language_model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    do_sample=True,
                    temperature=temperature,
                    top_p=top_p,
                    top_k=0,
                    max_new_tokens=max_length - length,
                    eos_token_id=list(ends) or None,
                    pad_token_id=model.alphabet.pad,
                    logits_processor=[legal],
                )
            batch = Batch.generated(len(rows), ids.shape[1], found.shape[1] - ids.shape[1])
            seen.tokens = batch.computed
            model.flop_counter.add(batch, seen)
            for row, tokens in zip(rows, found.tolist(), strict=True):
                tail = tokens[len(start[0]) :]
                stop = next((at for at, token in enumerate(tail) if token in ends), len(tail))
                drawn[row] = prompts[row] + "".join(letters[token] for token in tail[:stop])
    return [drawn[row] for row in range(len(prompts))]

"""New chains, residue by residue, from whatever gives the logits of what follows a chain.

The choices are the 20 residues and the end (`END`); rare letters and special tokens are never
sampled, and several end tokens count as one. Each chain has random numbers of its own, so it does
not depend on the others of its batch.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from benchmark.backbones.device import free_memory, inference, to_device
from benchmark.backbones.flops import Batch
from benchmark.core import RESIDUES, Array, Sampled, Sampling, UserError
from benchmark.core.answers import BREAK, END, OTHER, residue_codes
from benchmark.progress import track

CACHE_WIDTHS = 128
"""Numbers in the keys and values of a batch, in widths of the model per token of its budget."""
GPU_SHARE = 0.5
"""Of a GPU's free memory, what keys and values may take."""
SMALL = 10_000_000
"""On a CPU, models with fewer parameters are sampled from with one thread. With two threads a model
of 5 million is no faster on idle cores, and several times slower on busy ones."""
Processor = Callable[[Tensor, Tensor], Tensor]
"""From codes (B, T) and scores (B, choices) to scores, as in `transformers`."""


class Decoder(Protocol):
    """Reads a batch of chains, and gives the logits of what follows each, (B, 21)."""

    def start(self, prompts: Sequence[str]) -> Tensor:
        """Read the prompts of a new batch."""

    def step(self, codes: Tensor) -> Tensor:
        """Read one more residue of each chain, (B,)."""

    def keep(self, rows: Tensor) -> None:
        """Drop all other chains of the batch."""


class CachedDecoder:
    """A causal `Transformer`, with its cache of keys and values, or its recurrent state.

    Prompts are padded on the left, and positions are counted without the padding.
    """

    def __init__(self, model: Any) -> None:
        takes = inspect.signature(model.module.forward).parameters
        self.model, self.pads = model, "position_ids" in takes
        self.cache_name = "cache_params" if "cache_params" in takes else "past_key_values"
        ids = [model.alphabet.ids[residue] for residue in RESIDUES]
        self.columns = torch.tensor([*ids, *model.alphabet.ends], device=model.device)

    def start(self, prompts: Sequence[str]) -> Tensor:
        """Read prefix and prompts; of one length unless the model can pad."""
        from benchmark.backbones.key_value_cache import new_cache

        alphabet = self.model.alphabet
        end = len(alphabet.suffix)
        rows = [(ids := alphabet.encode(prompt))[: len(ids) - end] for prompt in prompts]
        width = max(map(len, rows))
        gaps = torch.tensor([[width - len(row)] for row in rows])
        padded = [[alphabet.pad] * (width - len(row)) + row for row in rows]
        self.cache: Any = None
        if self.cache_name == "past_key_values":
            self.cache = new_cache(self.model.language_model.config)
        self.gaps = to_device(gaps, self.model.device)
        self.mask = None
        if gaps.any():
            self.mask = (torch.arange(width) >= gaps).long().to(self.model.device)
        self.read = 0
        counted = Batch(len(rows), sum(map(len, rows)), len(rows) * width, len(rows) * width**2)
        return self._pass(to_device(padded, self.model.device), counted)

    def step(self, codes: Tensor) -> Tensor:
        """Read one token of each chain."""
        count = len(codes)
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(count, 1)], dim=1)
        counted = Batch(0, count, count, count * (self.read + 1))
        return self._pass(self.columns[codes, None], counted)

    def keep(self, rows: Tensor) -> None:
        """Select rows of the cache."""
        self.cache.reorder_cache(rows)
        self.gaps = self.gaps[rows]
        self.mask = None if self.mask is None else self.mask[rows]

    def _pass(self, ids: Tensor, counted: Batch) -> Tensor:
        model, given = self.model, dict[str, Any](use_cache=True)
        if self.cache is not None:
            given[self.cache_name] = self.cache
        if self.pads:
            positions = torch.arange(self.read, self.read + ids.shape[1], device=ids.device)
            given["position_ids"] = (positions - self.gaps).clamp(min=0)
        if self.mask is not None:
            given["attention_mask"] = self.mask
        with model.flop_counter.passing(model.language_model, "logits", counted):
            output = model.language_model(input_ids=ids, **given)
        self.cache = getattr(output, self.cache_name, None)
        if self.cache is None:
            raise UserError(
                f"{type(model.module).__name__} has no cache of what it has read, so it cannot be "
                "sampled from; choose another model"
            )
        self.read += ids.shape[1]
        logits = output.logits[:, -1, self.columns].float()
        ends = logits[:, END:].logsumexp(dim=-1, keepdim=True)  # -inf without an end token
        return torch.cat([logits[:, :END], ends], dim=1)


class TableDecoder:
    """Logits by the last residue alone, (22, 21): rows for the 20 residues, no residue, others."""

    def __init__(self, table: Array) -> None:
        self.table = torch.from_numpy(table).float()

    def start(self, prompts: Sequence[str]) -> Tensor:
        """By the last letter of each prompt."""
        return self.table[torch.tensor([residue_codes(BREAK + p)[-1] for p in prompts])]

    def step(self, codes: Tensor) -> Tensor:
        """By these residues."""
        return self.table[codes]

    def keep(self, rows: Tensor) -> None:
        """There is nothing to drop."""


def sample(
    model: Any, prompts: Sequence[str], settings: Sampling, seeds: Sequence[int]
) -> list[Sampled]:
    """`Backbone.sample` of a causal `Transformer`, in batches of similar prompts.

    A batch that does not fit in memory is halved.
    """
    from threadpoolctl import threadpool_limits

    decoder = CachedDecoder(model)
    check_lengths(prompts, settings, model.max_length)
    size = batch_size(model, settings.max_length + len(model.alphabet.prefix))
    found: dict[int, Sampled] = {}

    def drawn() -> Iterator[int]:
        nonlocal size
        waiting = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
        while waiting:
            batch = waiting[:size]
            if not decoder.pads:
                batch = [row for row in batch if len(prompts[row]) == len(prompts[batch[0]])]
            mine = [prompts[row] for row in batch], [seeds[row] for row in batch]
            try:
                with inference():
                    chains = draw(decoder, mine[0], settings, mine[1])
            except MemoryError:
                if len(batch) == 1:
                    raise UserError(
                        f"one chain of up to {settings.max_length} residues does not fit in "
                        "memory; give a lower method.max_length"
                    ) from None
                size = len(batch) // 2
                print(f"out of memory; {size:,} chains at a time from now on", file=sys.stderr)
                continue
            found.update(zip(batch, chains, strict=True))
            waiting = waiting[len(batch) :]
            yield from batch

    parameters = sum(weight.numel() for weight in model.module.parameters())
    with threadpool_limits(1 if model.device.type == "cpu" and parameters < SMALL else None):
        for _ in track(drawn(), len(prompts), "sampling"):
            pass
    return [found[row] for row in range(len(prompts))]


def batch_size(model: Any, length: int) -> int:
    """Chains of up to so many tokens in a batch, by the size of their keys and values.

    On a CPU it depends on the model and its budget alone. On a GPU free memory is a second limit;
    buffers (`key_value_cache`) may have room for twice the tokens.
    """
    per_chain = 2 * model.layers * length
    size = model.batch_tokens * CACHE_WIDTHS // per_chain
    if model.device.type == "cuda":
        weight = next(model.module.parameters())
        bytes_each = 2 * per_chain * model.residue_dim * weight.element_size()
        size = min(size, int(free_memory(model.device) * GPU_SHARE) // bytes_each)
    return int(max(1, size))


def check_lengths(prompts: Sequence[str], settings: Sampling, most: int | None) -> None:
    """Refuse lengths that the model, or the settings, do not allow."""
    if most is not None and settings.max_length > most:
        raise UserError(
            f"max_length={settings.max_length} is not allowed: the model accepts {most} residues "
            f"at most; give method.max_length={most}"
        )
    if (longest := max(map(len, prompts), default=0)) > settings.max_length:
        raise UserError(
            f"a prompt has {longest} residues, and max_length={settings.max_length}; give a longer "
            "method.max_length, or shorter prompts"
        )


def draw(
    decoder: Decoder, prompts: Sequence[str], settings: Sampling, seeds: Sequence[int]
) -> list[Sampled]:
    """Continue the prompts of one batch; chains leave it when they end.

    A chain for which the penalties leave no choice is cut, without an end.
    """
    done = [Sampled(prompt, 0.0, False) for prompt in prompts]
    rows = [row for row, prompt in enumerate(prompts) if len(prompt) < settings.max_length]
    if not rows:
        return done
    logits = decoder.start([prompts[row] for row in rows])
    given = [residue_codes(prompts[row]).tolist() for row in rows]
    width = max(map(len, given))
    padded = [[OTHER] * (width - len(row)) + row for row in given]
    most = settings.max_length - min(map(len, given))
    lots = np.stack([np.random.default_rng(seeds[row]).random(most, np.float32) for row in rows])
    codes = torch.tensor(padded, dtype=torch.long, device=logits.device)
    numbers = torch.from_numpy(lots).to(logits.device)
    lengths = torch.tensor([len(row) for row in given], device=logits.device)
    total = torch.zeros(len(rows), dtype=torch.float64, device=logits.device)
    applied = processors(settings)
    while True:
        if logits.isnan().any():
            raise UserError("the model's logits are not numbers; try dtype=float32")
        scores = logits.clone()
        scores[lengths < settings.min_length, END] = -torch.inf
        for processor in applied:
            scores = processor(codes, scores)
        stuck = scores.amax(dim=1) == -torch.inf
        chosen = choose(scores, None if settings.temperature == 0 else numbers[:, 0])
        chosen[stuck] = END
        logs = logits.log_softmax(dim=1).gather(1, chosen[:, None])[:, 0]
        total += logs.masked_fill(stuck, 0)
        codes = torch.cat([codes, chosen[:, None]], dim=1)
        lengths += chosen != END
        stays = (chosen != END) & (lengths < settings.max_length)
        for at in (~stays).nonzero()[:, 0].tolist():
            new = "".join(RESIDUES[code] for code in codes[at, width:].tolist() if code < END)
            ended = bool(chosen[at] == END and not stuck[at])
            done[rows[at]] = Sampled(prompts[rows[at]] + new, float(total[at]), ended)
        if not stays.any():
            return done
        numbers = numbers[:, 1:]
        if not stays.all():
            keep = stays.nonzero()[:, 0]
            decoder.keep(keep)
            codes, numbers, lengths, total = (x[keep] for x in (codes, numbers, lengths, total))
            rows = [rows[at] for at in keep.tolist()]
        logits = decoder.step(codes[:, -1])


def processors(settings: Sampling) -> list[Processor]:
    """Penalties and truncation in the order in which `transformers` applies them."""
    from transformers.generation import logits_process as library

    warm, found = settings.temperature > 0, list[Processor]()
    if settings.repetition_penalty != 1:
        found.append(library.RepetitionPenaltyLogitsProcessor(float(settings.repetition_penalty)))
    if settings.no_repeat_ngram:
        found.append(library.NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram))
    if warm and settings.temperature != 1:
        found.append(library.TemperatureLogitsWarper(float(settings.temperature)))
    if warm and settings.top_k:
        found.append(library.TopKLogitsWarper(settings.top_k))
    if warm and settings.top_p < 1:
        found.append(library.TopPLogitsWarper(settings.top_p))
    return found


def choose(scores: Tensor, numbers: Tensor | None) -> Tensor:
    """Draw a column of each row by its number from 0 to 1, (B,); without numbers the best one."""
    if numbers is None:
        return scores.argmax(dim=1)
    sums = scores.double().softmax(dim=1).cumsum(dim=1)
    targets = numbers.double() * sums[:, -1]
    return torch.searchsorted(sums, targets[:, None], right=True)[:, 0]

"""Train a pocket language model: a small ESM-2 (masked) or a small rotary decoder (causal).

    python -m benchmark.pocket.make.train --objective masked --layers 5 --dim 160 --heads 5
        --tokens 30e6 --corpus train.txt.gz --held-out watched.txt --out pocket_mlm

Masked as ESM-2 (Lin et al. 2023: 15 % of the residues are predicted, of which 80 % are masked, 10 %
replaced, 10 % unchanged), causal as Llama; both read `<cls>`, residues, `<eos>` of ESM-2's
vocabulary. Chains are cropped at random and packed end to end without seeing each other (ESM-2's
token dropout scales a whole batch by its masked share). AdamW, warmup, cosine; bfloat16 on GPUs, or
if requested. Random numbers depend on the seed and the step alone, so an interrupted training,
started again with the same settings, ends with the same weights on a CPU. `log.csv` has the losses
by tokens, and recipe.json the settings.
"""

import argparse
import csv
import gzip
import json
import math
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.backbones.baselines.untrained import ESM_TOKENS
from benchmark.backbones.device import to_device
from benchmark.backbones.layers import blocks, compile_each
from benchmark.backbones.packing import NAME, packed, register
from benchmark.core import UserError
from benchmark.data.digests import digest
from benchmark.files import replacing
from benchmark.pocket.make.recipe import ID, VOCABULARY, Recipe, build, cost, plan, read_lengths
from benchmark.pocket.make.script import one_sentence

RESIDUE_IDS = np.array([ID[residue] for residue in ESM_TOKENS[:20]])
IGNORED = -100
"""Target of a token that is not predicted, as in torch."""


class Batch(NamedTuple):
    """Concatenated chains, padded to a constant length T, because torch compiles kernels by shape.

    Token ids and targets, (T,), and the lengths of the chains, that of the padding last.
    """

    ids: NDArray[np.int64]
    targets: NDArray[np.int64]
    lengths: list[int]


def encode(chains: list[str]) -> list[NDArray[np.int8]]:
    """Token ids of the residues of each chain."""
    table = np.full(128, ID["X"], np.int8)
    for residue in ESM_TOKENS:
        table[ord(residue)] = ID[residue]
    return [table[np.frombuffer(chain.encode(), np.uint8)] for chain in chains]


def batches(corpus: list[NDArray[np.int8]], recipe: Recipe, first: int) -> Iterator[Batch]:
    """The batches from step `first` on."""
    for step, rows in enumerate(plan(read_lengths(corpus, recipe), recipe)):
        if step >= first:
            rng = np.random.default_rng([recipe.seed, 1, step])
            yield make_batch([corpus[row] for row in rows], recipe, rng)


def prepared(items: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, two of which a thread makes while others are trained on."""
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items) for _ in range(2))
        while True:
            yield waiting.popleft().result()
            waiting.append(pool.submit(next, items))


def make_batch(chains: list[NDArray[np.int8]], recipe: Recipe, rng: np.random.Generator) -> Batch:
    """Crop, concatenate, and mask or shift."""
    sizes = [min(len(chain), recipe.crop) + 2 for chain in chains]
    ids = np.full(max(recipe.batch_tokens, sum(sizes)), ID["<pad>"], np.int64)
    begin = 0
    for chain, size in zip(chains, sizes, strict=True):
        start = rng.integers(max(1, len(chain) - recipe.crop + 1))
        ids[begin], ids[begin + size - 1] = ID["<cls>"], ID["<eos>"]
        ids[begin + 1 : begin + size - 1] = chain[start : start + recipe.crop]
        begin += size
    lengths = [*sizes, len(ids) - begin] if begin < len(ids) else sizes
    if recipe.objective == "causal":
        targets = np.append(ids[1:], IGNORED)
        targets[np.cumsum(lengths) - 1] = IGNORED
        targets[ids == ID["<pad>"]] = IGNORED
        return Batch(ids, targets, lengths)
    predicted = (rng.random(len(ids)) < 0.15) & (ids >= RESIDUE_IDS[0])
    targets = np.where(predicted, ids, IGNORED)
    fate = rng.random(len(ids))
    ids = np.where(predicted & (fate < 0.8), ID["<mask>"], ids)
    ids = np.where(predicted & (fate >= 0.9), rng.choice(RESIDUE_IDS, len(ids)), ids)
    return Batch(ids, targets, lengths)


def optimiser_of(module: Any, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW, without weight decay of norms and biases."""
    groups: list[dict[str, Any]] = [
        {"params": [p for p in module.parameters() if p.ndim >= 2]},
        {"params": [p for p in module.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=recipe.lr, betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
    )


def inputs(corpus: list[str], held_out: list[str], bf16: bool) -> dict[str, str]:
    """What determines weights and log besides the recipe: precision, digests of the chains."""
    for chains, name in ((corpus, "corpus"), (held_out, "held-out")):
        if not chains:
            raise UserError(f"--{name} holds no sequence; give a file with one a line")
    return {
        "precision": "bfloat16" if bf16 else "float32",
        "corpus": digest(*corpus),
        "held_out": digest(*held_out),
    }


def mean_loss(module: Any, batch: Batch, device: torch.device, bf16: bool) -> torch.Tensor:
    """Mean natural-log loss over the predicted tokens."""
    ids, targets = (to_device(part, device) for part in (batch.ids, batch.targets))
    with (
        packed(module, batch.lengths, 0) as positions,
        torch.autocast(device.type, torch.bfloat16, enabled=bf16),
    ):
        logits = module(input_ids=ids[None], position_ids=positions).logits[0]
    return torch.nn.functional.cross_entropy(logits.float(), targets, ignore_index=IGNORED)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warmup, then a cosine down to a tenth."""
    rising = max(1, round(recipe.warmup * steps))
    if step < rising:
        return recipe.lr * (step + 1) / rising
    share = (step - rising) / max(1, steps - rising)
    return recipe.lr * (0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2)


def train(
    recipe: Recipe, corpus: list[str], held_out: list[str], out: Path, *,
    device: torch.device, bf16: bool, save_minutes: float, log_steps: int, compiled: bool = False,
) -> None:  # fmt: skip
    """Train, or resume an interrupted training, and write the checkpoint.

    compiled: fewer and larger kernels; small models are limited by the launches of kernels.
    """
    if recipe.crop + 2 > recipe.batch_tokens:
        raise UserError(f"--crop={recipe.crop} and its two ends do not fit in --batch-tokens")
    if recipe.dim % (2 * recipe.heads):
        raise UserError(
            f"--dim={recipe.dim} cannot be shared by --heads={recipe.heads} in even parts"
        )
    steps, described = recipe.steps, {**asdict(recipe), **inputs(corpus, held_out, bf16)}
    module = build(recipe).to(device).train()
    optimiser = optimiser_of(module, recipe)
    watched = make_batch(encode(held_out), recipe, np.random.default_rng([recipe.seed, 2]))
    log: list[dict[str, float]] = []
    step, tokens, state = 0, 0, out / "state.pt"
    if state.exists():
        saved = torch.load(state, map_location=device, weights_only=True)
        if saved["recipe"] != described:
            raise UserError(
                f"{out} holds a training of other settings or sequences; give another --out"
            )
        module.load_state_dict(saved["module"])
        optimiser.load_state_dict(saved["optimiser"])
        step, tokens, log = saved["step"], saved["tokens"], saved["log"]
        print(f"resuming from step {step:,} of {steps:,}", flush=True)
    last_saved = started = time.monotonic()
    ready = encode(corpus)
    total, count, since = torch.zeros((), dtype=torch.float64, device=device), 0, tokens
    register()
    module.set_attn_implementation(NAME)  # once, because it takes a millisecond
    if compiled:
        compile_each(blocks(module, recipe.layers).values())
    for batch in prepared(batches(ready, recipe, step)):
        if step >= steps:
            break
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step, steps)
        loss = mean_loss(module, batch, device, bf16)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
        optimiser.step()
        optimiser.zero_grad()
        total += loss.detach()
        count += 1
        step, tokens = step + 1, tokens + int((batch.ids != ID["<pad>"]).sum())
        if step % log_steps == 0 or step == steps:
            module.eval()
            with torch.no_grad():
                unseen = float(mean_loss(module, watched, device, bf16))
            module.train()
            seen = float(total) / count
            log.append({"step": step, "tokens": tokens, "train": seen, "held_out": unseen})
            speed = (tokens - since) / (time.monotonic() - started)
            print(
                f"step {step:,} of {steps:,}: train {seen:.4f}, held out {unseen:.4f}, "
                f"{speed:,.0f} tokens/s",
                flush=True,
            )
            total.zero_()
            count = 0
            if time.monotonic() - last_saved > 60 * save_minutes and step < steps:
                with replacing(state) as fresh:  # a kill meanwhile leaves the older state
                    reached = {"recipe": described, "step": step, "tokens": tokens, "log": log}
                    reached["module"] = module.state_dict()
                    torch.save(reached | {"optimiser": optimiser.state_dict()}, fresh)
                last_saved = time.monotonic()
    export(module, {**described, "cost": cost(ready, recipe)}, log, out)
    state.unlink(missing_ok=True)


def export(module: Any, described: dict[str, Any], log: list[dict[str, float]], out: Path) -> None:
    """Write the checkpoint as transformers reads it, in float16, with its recipe and log.

    Without ESM-2's contact head, which is not trained, and without the frequencies of rotary
    positions, which are computed, because rounding would change the angles.
    """
    state = module.half().state_dict()
    weights = {k: v for k, v in state.items() if "contact_head" not in k and "inv_freq" not in k}
    module.save_pretrained(out, state_dict=weights)
    (out / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    (out / "recipe.json").write_text(json.dumps(described, indent=1) + "\n")
    with (out / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(log[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(log)


def read_chains(file: Path) -> list[str]:
    """The sequences of a file with one a line; it may be gzipped."""
    content = file.read_bytes()
    return (gzip.decompress(content) if file.suffix == ".gz" else content).decode().split()


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train a pocket language model.")
    add = parser.add_argument
    add("--corpus", type=Path, required=True, help="sequences, one a line; may be .gz")
    add("--held-out", type=Path, required=True, help="sequences whose loss is logged")
    add("--out", type=Path, required=True, help="folder of the checkpoint")
    add("--objective", choices=("masked", "causal"), required=True)
    for name in ("layers", "dim", "heads"):
        add(f"--{name}", type=int, required=True)
    add("--tokens", type=float, required=True, help="read in training, as in 30e6")
    add("--batch-tokens", type=int, default=8192)
    add("--crop", type=int, default=512, help="residues of a chain, at most")
    add("--lr", type=float, default=2e-3)
    add("--warmup", type=float, default=0.02, help="share of the steps")
    add("--weight-decay", type=float, default=0.01)
    add("--clip", type=float, default=1.0)
    add("--seed", type=int, default=0)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--bf16", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available())
    add("--compiled", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available())
    add("--save-minutes", type=float, default=5)
    add("--log-steps", type=int, default=100)
    words = vars(parser.parse_args())
    settings = {field.name: words[field.name] for field in fields(Recipe)}
    recipe = Recipe(**settings | {"tokens": round(words["tokens"])})
    with one_sentence():
        words["out"].mkdir(parents=True, exist_ok=True)
        corpus, held_out = read_chains(words["corpus"]), read_chains(words["held_out"])
        rest = {name: words[name] for name in ("bf16", "compiled", "save_minutes", "log_steps")}
        train(recipe, corpus, held_out, words["out"], device=torch.device(words["device"]), **rest)


if __name__ == "__main__":
    main()

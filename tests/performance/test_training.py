"""Time and peak memory of an epoch of LoRA, compared with hand-written loops. Not part of CI.

All loops put the same adapters in, train them and a head on the same chains with AdamW, a step for
each 16 chains, and take them out. The bare one is the ideal of a padded loop: token ids made
before, all chains sorted by length, nothing shuffled, validated or stored.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from torch import nn

from benchmark.backbones.baselines.untrained import Random
from benchmark.core import Example, FitContext, Readout
from benchmark.embedding.batching import batches
from benchmark.methods.finetune.lora import linear_layers
from tests.conftest import composed
from tests.performance.table import Table, device, dtype, interleaved

STEP = 16
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def examples(chains: list[str]) -> list[Example]:
    few = chains[: 32 if device() == "cpu" else 320]
    return [
        Example((chain,), np.asarray(float(chain.count("W"))), str(at), "")
        for at, chain in enumerate(few)
    ]


def peft_loop(backbone: Random, steps: Sequence[Sequence[Inputs]]) -> Callable[[], None]:
    """What one writes by hand: steps of micro-batches of ids, mask and labels."""
    from peft import LoraConfig, get_peft_model

    targets = list(linear_layers(backbone, "all-linear"))
    width = backbone.residue_dim

    def epoch() -> None:
        config = LoraConfig(r=16, lora_alpha=16, target_modules=targets)
        model: Any = get_peft_model(backbone.module, config)
        head = nn.Sequential(nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 1)).to(device())
        trained = [*(p for p in model.parameters() if p.requires_grad), *head.parameters()]
        optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
        for step in steps:
            optimizer.zero_grad()
            count = sum(len(labels) for *_, labels in step)
            for ids, mask, labels in step:
                with torch.autocast(device(), torch.bfloat16, dtype() == "bfloat16"):
                    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
                inner = mask.clone()
                inner[:, 0] = 0
                inner[torch.arange(len(mask)), mask.sum(dim=1) - 1] = 0
                pooled = (states.float() * inner[..., None]).sum(1) / inner.sum(1, keepdim=True)
                loss = (head(pooled)[:, 0] - labels).square().sum() / count
                loss.backward()
            optimizer.step()
        model.unload()
        vars(backbone.module).pop("peft_config", None)

    return epoch


def inputs(backbone: Random, part: Sequence[Example]) -> Inputs:
    labels = torch.tensor([float(np.asarray(e.label)) for e in part], device=device())
    return *backbone.ids([example.chains[0] for example in part]), labels


def steps_of(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), STEP):
        yield examples[start : start + STEP]


def test_lora(table: Table, backbone: Random, examples: list[Example]) -> None:
    """A whole fit of one epoch, shuffled, with valid, and of three loops."""
    learner = instantiate(composed("method=lora", "method.epochs=1").method, _convert_="all")
    context = FitContext(backbone, Readout("protein", "regression"), 0)
    ideal = []
    for part in steps_of(sorted(examples, key=lambda e: len(e.chains[0]))):
        made = batches([len(e.chains[0]) for e in part], backbone.batch_tokens)
        ideal.append([inputs(backbone, [part[at] for at in batch]) for batch in made])
    works: dict[str, Callable[[], object]] = {
        "bare loop, sorted": peft_loop(backbone, ideal),
        "an epoch": lambda: learner.fit(examples, examples[:1], context),
        "bare loop, one chain a time, as the papers' scripts": peft_loop(
            backbone, [[inputs(backbone, [e]) for e in part] for part in steps_of(examples)]
        ),
        "bare loop, 16 chains in the table's order": peft_loop(
            backbone, [[inputs(backbone, part)] for part in steps_of(examples)]
        ),
    }
    seconds = interleaved(works, 2)
    tokens = sum(len(example.chains[0]) + 2 for example in examples)
    for name, needed in seconds.items():
        ratio = table.add(
            f"lora: {name}", needed,
            reference=seconds["bare loop, sorted"], reference_name="bare loop",
            amount=tokens, unit="tokens",
        )  # fmt: skip
        assert ratio <= 1.1 or name != "an epoch"
    if device() != "cpu":
        for name, work in works.items():
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            work()
            peak = torch.cuda.max_memory_allocated() - before
            table.note(f"lora: {name}: {peak / 1e9:.2f} GB at most")

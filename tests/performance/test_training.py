"""Time and peak memory of an epoch of LoRA, as ratios in one run. Not part of CI.

    pytest tests/performance/test_training.py
    pytest tests/performance/test_training.py --benchmark-timer=time.process_time  # busy machines

Shapes and chains are those of `test_embedding.py`. All loops train the same adapters and head on
the same chains with AdamW, a step for each 16 of them. The bare one is the ideal of a padded loop:
token ids made before, all chains sorted by length, nothing shuffled, validated, shown or kept.
"""

import ctypes
import gc
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
from tests.conftest import composed, make_task
from tests.performance.test_embedding import DEVICE, DIM, DTYPE, HEADS, LAYERS, TOKENS

COUNT = 64 if DEVICE == "cpu" else 2000
STEP = 16
SECONDS: dict[str, float] = {}
BYTES: dict[str, int] = {}
Inputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture
def backbone() -> Random:
    return Random(
        layers=LAYERS, dim=DIM, heads=HEADS, init_seed=0, layer=-1, pooling="mean",
        device=DEVICE, dtype=DTYPE, batch_tokens=TOKENS,
    )  # fmt: skip


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    train = make_task("pocket_solubility").load().train[:COUNT]
    return [e._replace(label=np.asarray(float(e.chains[0].count("W")))) for e in train]


def peak(work: Callable[[], object]) -> int:
    """Bytes above what there was before, while it works."""
    if DEVICE != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or what was freed before counts as there
    with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 (the peak begins anew)
        file.write("5")
    before = resident("VmRSS")
    work()
    return resident("VmHWM") - before


def resident(name: str) -> int:
    """Of this process's memory, in bytes."""
    with open("/proc/self/status") as file:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def measure(benchmark: Any, name: str, work: Callable[[], object]) -> None:
    def whole() -> None:
        work()
        if DEVICE != "cpu":
            torch.cuda.synchronize()

    BYTES[name] = peak(whole)
    benchmark.pedantic(whole, rounds=3)
    SECONDS[name] = benchmark.stats.stats.min


def peft_loop(backbone: Random, steps: Sequence[Sequence[Inputs]]) -> Callable[[], None]:
    """What one writes by hand: steps of micro-batches of ids, mask and labels."""
    from peft import LoraConfig, get_peft_model

    targets = list(linear_layers(backbone, "all-linear"))
    config = LoraConfig(r=16, lora_alpha=16, target_modules=targets)
    model = get_peft_model(backbone.module, config)
    head = nn.Sequential(nn.Linear(DIM, 128), nn.ReLU(), nn.Linear(128, 1)).to(DEVICE)
    trained = [*(p for p in model.parameters() if p.requires_grad), *head.parameters()]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)

    def epoch() -> None:
        for step in steps:
            optimizer.zero_grad()
            count = sum(len(labels) for *_, labels in step)
            for ids, mask, labels in step:
                with torch.autocast(DEVICE, torch.bfloat16, DTYPE == "bfloat16"):
                    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
                inner = mask.clone()
                inner[:, 0] = 0
                inner[torch.arange(len(mask)), mask.sum(dim=1) - 1] = 0
                pooled = (states.float() * inner[..., None]).sum(1) / inner.sum(1, keepdim=True)
                loss = (head(pooled)[:, 0] - labels).square().sum() / count
                loss.backward()
            optimizer.step()

    return epoch


def inputs(backbone: Random, part: Sequence[Example]) -> Inputs:
    labels = torch.tensor([float(example.label) for example in part], device=DEVICE)
    return *backbone.ids([example.chains[0] for example in part]), labels


def steps_of(examples: Sequence[Example]) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), STEP):
        yield examples[start : start + STEP]


def test_bare_loop(benchmark: Any, backbone: Random, examples: list[Example]) -> None:
    """Sorted by length, as large batches as fit the budget."""
    steps = []
    for part in steps_of(sorted(examples, key=lambda e: len(e.chains[0]))):
        made = batches([len(e.chains[0]) for e in part], TOKENS)
        steps.append([inputs(backbone, [part[at] for at in batch]) for batch in made])
    measure(benchmark, "bare", peft_loop(backbone, steps))


def test_ours(benchmark: Any, backbone: Random, examples: list[Example]) -> None:
    """A whole fit of one epoch: adapters put in, a shuffled epoch, valid, adapters taken out."""
    learner = instantiate(composed("method=lora", "method.epochs=1").method, _convert_="all")
    readout = Readout("protein", "regression")
    measure(
        benchmark,
        "ours",
        lambda: learner.fit(examples, examples[:1], FitContext(backbone, readout, 0)),
    )


def test_batch_of_one(benchmark: Any, backbone: Random, examples: list[Example]) -> None:
    """As the papers' released scripts: one chain a time, gradients accumulated."""
    steps = [[inputs(backbone, [e]) for e in part] for part in steps_of(examples)]
    measure(benchmark, "one", peft_loop(backbone, steps))


def test_fixed_batches(benchmark: Any, backbone: Random, examples: list[Example]) -> None:
    """Sixteen chains in the order of the table, padded: what most programs do."""
    steps = [[inputs(backbone, part)] for part in steps_of(examples)]
    measure(benchmark, "fixed", peft_loop(backbone, steps))


def test_report(capsys: pytest.CaptureFixture[str], examples: list[Example]) -> None:
    """The ratios."""
    tokens = sum(len(example.chains[0]) + 2 for example in examples)
    with capsys.disabled():
        print(f"\n{DEVICE} {DTYPE}, {LAYERS} layers of {DIM}, {torch.get_num_threads()} threads")
        print(f"{COUNT} chains, {tokens:,} tokens, {tokens / SECONDS['ours']:,.0f} a second")
        for name, seconds in SECONDS.items():
            print(
                f"{name:<6} {seconds:8.3f} s {seconds / SECONDS['bare']:6.2f} of the bare loop, "
                f"{BYTES[name] / 1e9:6.2f} GB {BYTES[name] / BYTES['bare']:6.2f}"
            )
    assert np.isfinite(list(SECONDS.values())).all()

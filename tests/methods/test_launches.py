"""What a training step asks of a device: kernels to launch, and no wait for its results."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark import progress
from benchmark.backbones.transformer import Transformer
from benchmark.core import FitContext
from benchmark.methods.finetune.heads import Head, Objective
from benchmark.methods.finetune.lora import linear_layers
from benchmark.methods.finetune.trainer import Trainer
from benchmark.pocket.make import train as pocket
from benchmark.pocket.make.recipe import Recipe
from tests.conftest import make_backbone
from tests.learning import LEVELS, REAL, examples, method

WAITS = "aten::_local_scalar_dense"
"""A number of a tensor that Python reads: the host waits for the device."""
VIEWS = {"aten::_unsafe_view", "aten::detach"}


class Launches(TorchDispatchMode):
    """Counts operations other than views, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.found = Counter[str]()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        alias = [result.alias_info for result in op._schema.returns]
        view = any(info is not None and not info.is_write for info in alias)
        if not view and op._schema.name not in VIEWS:
            self.found[op._schema.name] += 1
        return op(*args, **(kwargs or {}))


@pytest.fixture
def esm(esm_folder: Path) -> Transformer:
    backbone = make_backbone("huggingface", esm_folder)
    assert isinstance(backbone, Transformer)
    return backbone


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Operations of all epochs' steps, without those on valid and lines of progress."""
    train_epoch, found = Trainer.train_epoch, Counter[str]()

    def counting(self: Trainer) -> None:
        with Launches() as launches:
            train_epoch(self)
        found.update(launches.found)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", counting)
        patch.setattr(progress, "PERIOD", inf)  # a line has the loss
        yield found


@pytest.mark.parametrize("level", [name for name in LEVELS if name != "variant"])
def test_the_loss_moves_answers_to_the_device_by_to_device_alone(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other ways wait for the device; class weights are known on the host."""
    readout, train = LEVELS[level][0], examples(level, 8)
    objective = Objective(
        readout, train, None if readout.kind == "regression" else "balanced", torch.device("cpu")
    )
    targets = [objective.target(example) for example in train]
    head = Head(4, readout, [8], 0.0)
    one = readout.level == "protein"
    lengths = [1 if one else len(example.chains[0]) for example in train]
    scores = head(torch.ones(sum(lengths), 4), lengths)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a transfer that waits")

    for place, name in ((torch.Tensor, "cpu"), (torch.Tensor, "to"), (torch, "tensor")):
        monkeypatch.setattr(place, name, refuse)
    assert objective.loss(scores, targets) > 0


@pytest.mark.parametrize("name", ["mlp", "lora", "finetune"])
def test_a_step_waits_for_nothing(
    name: str, esm: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = examples("protein real", 32)
    words = ["epochs=2", "clip=0.5", "head_dropout=0.1", "batch.protein=8"]
    with counted(monkeypatch) as found:
        method(name, *words).fit(train, train[:4], FitContext(esm, REAL, 0))
    assert found["aten::_fused_adamw_"] == 8 and found[WAITS] == 0


def test_a_step_launches_what_a_plain_loop_launches(
    esm: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most a tenth more than a loop on peft, besides the mean of each chain."""
    from peft import LoraConfig, get_peft_model

    train = examples("protein real", 16)
    with counted(monkeypatch) as ours:
        learner = method("lora", "epochs=2", "lora_dropout=0", "hidden=[8]")
        learner.fit(train, train[:4], FitContext(esm, REAL, 0))

    config = LoraConfig(r=16, lora_alpha=16, target_modules=list(linear_layers(esm, "all-linear")))
    model = get_peft_model(esm.module, config)
    head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))
    trained = [*(p for p in model.parameters() if p.requires_grad), *head.parameters()]
    optimizer = torch.optim.AdamW(trained, fused=True)
    ids, mask = esm.ids([e.chains[0] for e in train])
    labels = torch.tensor(np.array([e.label for e in train]), dtype=torch.float32)
    with Launches() as launches:
        for _ in range(2):
            optimizer.zero_grad()
            states = model(input_ids=ids, attention_mask=mask).last_hidden_state
            pooled = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            (head(pooled)[:, 0] - labels).square().mean().backward()
            optimizer.step()
    assert ours["aten::mm"] == launches.found["aten::mm"]
    more, plain = (
        sum(n for name, n in found.items() if "attention" not in name)  # of a GPU it is one kernel
        for found in (ours, launches.found)
    )
    assert more <= 1.1 * plain + 2 * 5 * len(train), "in each step a mean and its gradient a chain"


@pytest.mark.parametrize("objective", ["masked", "causal"])
def test_a_pocket_training_waits_at_log_steps_alone(objective: str, tmp_path: Path) -> None:
    """Numbers are read when they are printed: the train loss and the held-out loss."""
    chains = ["ACDEFGHIKLMNPQRSTVWY" * 4] * 40
    counts = {}
    for steps in (2, 6):
        recipe = Recipe(
            objective=objective, layers=1, dim=8, heads=1, tokens=300 * steps, batch_tokens=300,
            crop=80, lr=1e-3, warmup=0.1, weight_decay=0.0, clip=1.0, seed=0,
        )  # fmt: skip
        out = tmp_path / str(steps)
        out.mkdir()
        with Launches() as launches:
            pocket.train(
                recipe, chains, chains[:3], out,
                device=torch.device("cpu"), bf16=False, save_minutes=99, log_steps=100,
            )  # fmt: skip
        counts[steps] = launches.found
    assert counts[2][WAITS] == counts[6][WAITS]
    assert counts[6]["aten::_fused_adamw_"] == 3 * counts[2]["aten::_fused_adamw_"] > 0

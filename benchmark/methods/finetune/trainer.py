"""The training loop: effective batches, their division, schedule, epochs, states to go on from.

An effective batch is a number of examples. However it is divided, by the memory there is or among
processes, the gradient is that of the mean loss over all of its known answers.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from math import ceil, cos, isfinite, pi
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.backbones.device import inference, memory_errors
from benchmark.backbones.transformer import Transformer
from benchmark.core import Array, Backbone, Chains, Example, UserError
from benchmark.distributed import all_reduce, broadcast, rank, world_size
from benchmark.embedding.batching import batches, lower_budget
from benchmark.embedding.features import read_by, side_by_side
from benchmark.methods.finetune import checkpoints
from benchmark.methods.finetune.checkpoints import Epoch
from benchmark.methods.finetune.heads import Head, Objective
from benchmark.progress import track

Float32 = NDArray[np.float32]
POOL = 16
"""Effective batches whose examples are sorted by length together."""
ROWS = 16_384
"""Vectors that a head answers at a time."""
SCHEDULES = ("linear", "cosine", "constant")


class VectorSource(NamedTuple):
    """Where vectors to learn from come: a protein's row (1, width), or its residues' (L, width)."""

    train: Callable[[Sequence[int]], Tensor]
    """Those of some train examples, one after another, with gradients."""
    valid: Callable[[], Iterable[Float32]]
    """Those of each valid example, in order."""


class Encoder(Protocol):
    """What is below the head: it makes vectors of chains, and some of its weights are trained."""

    width: int
    """Numbers in a chain's or a residue's vector."""
    device: torch.device
    total: int
    """Parameters."""
    facts: Mapping[str, Any]
    """What the Record tells of it."""

    def attached(self) -> AbstractContextManager[None]:
        """Within, the backbone has what was learned; after it, it is as it was before."""
        ...

    def trained(self) -> Mapping[str, nn.Parameter]:
        """What is trained, by name, in float32; to be asked for and used while attached."""
        ...

    def train(self, mode: bool) -> None:
        """Switch its dropout on or off."""
        ...

    def source(
        self, train: Sequence[Chains], valid: Sequence[Chains]
    ) -> AbstractContextManager[VectorSource]:
        """Vectors of these questions."""
        ...

    def save(self, folder: Path) -> None:
        """Keep what was learned."""
        ...

    def load(self, folder: Path) -> None:
        """Take what was kept."""
        ...


class Trainer:
    """One training; its attributes are the state that is kept."""

    def __init__(
        self,
        settings: Any,
        backbone: Backbone,
        encoder: Encoder,
        head: Head,
        objective: Objective,
        seed: int,
        folder: Path | None,
    ) -> None:
        self.settings, self.backbone, self.encoder, self.head = settings, backbone, encoder, head
        self.objective, self.seed, self.folder = objective, seed, folder
        self.size = settings.batch[objective.readout.level]
        self.epoch = self.step = 0
        self.loss = torch.zeros((), dtype=torch.float64, device=encoder.device)
        self.count = 0.0
        self.curve: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.spent = 0.0
        self.before = dict(backbone.usage())
        self.started = self.saved = time.monotonic()

    def run(self, train: Sequence[Example], valid: Sequence[Example]) -> dict[str, Any]:
        """Train, leave what was learned in encoder and head, and tell what was chosen."""
        readout = self.objective.readout
        asked, held_out = (
            read_by(self.backbone, readout, [example.chains for example in part])
            for part in (train, valid)
        )
        self.lengths = [sum(map(len, chains)) for chains in asked]
        self.rows = [1] * len(asked) if side_by_side(readout) else self.lengths
        self.targets = [self.objective.target(example) for example in train]
        truth = [self.objective.target(example) for example in valid]
        self.steps = ceil(len(train) / self.size) * self.settings.epochs
        with self.encoder.attached(), self.encoder.source(asked, held_out) as self.source:
            heads = {f"head.{name}": part for name, part in self.head.named_parameters()}
            self.trained = {**self.encoder.trained(), **heads}
            self.optimizer = torch.optim.AdamW(
                self.trained.values(),
                betas=tuple(self.settings.betas),
                weight_decay=self.settings.weight_decay,
                fused=True,
            )
            self.restore()
            while self.epoch < self.settings.epochs and not self.waited():
                self.train_epoch()
                self.end_epoch(self.valid_loss(truth))
            with torch.no_grad():
                for name, parameter in self.trained.items():
                    parameter.copy_(self.best[name])
            choices = self.choices()
            if self.folder and not rank():
                self.encoder.save(self.folder)
                checkpoints.save_tensors(self.folder / checkpoints.HEAD, self.head.state_dict())
                checkpoints.finish(self.folder, choices, self.cost(), self.curve)
        return choices

    def train_epoch(self) -> None:
        """The rest of an epoch."""
        order = effective_batches(self.lengths, self.size, self.seed, self.epoch)
        self.encoder.train(True)
        self.head.train()
        todo = order[self.step :]
        for batch in track(todo, len(todo), self.progress):
            done = self.epoch * len(order) + self.step
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.lr * rate(
                    self.settings.schedule, done, self.steps, self.settings.warmup
                )
            loss, weight = self.gradients(batch)
            if self.settings.clip is not None:
                nn.utils.clip_grad_norm_(self.trained.values(), self.settings.clip)
            self.optimizer.step()
            self.loss += loss
            self.count += weight
            self.step += 1
            if time.monotonic() - self.saved >= 60 * self.settings.save_minutes:
                self.save()

    def gradients(self, batch: Sequence[int]) -> tuple[Tensor, float]:
        """Leave the gradients of an effective batch's mean loss; its summed loss and weight.

        Processes take shares of equal lengths. What does not fit in memory is divided further.
        """
        weight = sum(self.objective.count(self.targets[row]) for row in batch)
        share = sorted(batch, key=lambda row: -self.lengths[row])[rank() :: world_size()]
        noise = np.random.SeedSequence([self.seed, self.epoch, self.step, rank()])
        while True:
            self.optimizer.zero_grad()
            torch.manual_seed(int(noise.generate_state(1)[0]))  # dropout's, the same when resumed
            loss = torch.zeros((), device=self.encoder.device)
            lengths = [self.lengths[row] for row in share]
            parts = batches(lengths, self.backbone.batch_tokens)
            part: list[int] = []
            try:
                for part in parts:
                    loss += self.backward([share[at] for at in part], weight)
                break
            except MemoryError:
                pass  # its traceback, which holds the memory, goes with it
            lower_budget(self.backbone, [lengths[at] for at in part])
        for parameter in self.trained.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        all_reduce([*(p.grad for p in self.trained.values() if p.grad is not None), loss])
        return loss, weight

    def backward(self, rows: Sequence[int], weight: float) -> Tensor:
        """Add the gradients of a part of an effective batch; its summed loss."""
        with memory_errors():
            scores = self.head(self.source.train(rows), [self.rows[row] for row in rows])
            loss = self.objective.loss(scores, [self.targets[row] for row in rows])
            (loss / weight).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def valid_loss(self, truth: Sequence[Array]) -> float:
        """The mean loss over the known answers of valid."""
        self.encoder.train(False)
        self.head.eval()
        total, seen = 0.0, 0
        for rows, lengths in grouped(self.source.valid()):
            with inference():
                scores = self.head(torch.from_numpy(rows), lengths)
                total += float(self.objective.loss(scores, truth[seen : seen + len(lengths)]))
            seen += len(lengths)
        return total / sum(map(self.objective.count, truth))

    def end_epoch(self, valid_loss: float) -> None:
        """Note the losses, and keep the weights if valid's is the lowest so far."""
        train_loss = float(self.loss) / self.count
        if not isfinite(train_loss + valid_loss):
            raise UserError(
                "the loss is no longer a number; lower method.lr, or give method.clip=1.0"
            )
        if all(valid_loss < row.valid_loss for row in self.curve):
            self.best = {name: p.detach().to("cpu", copy=True) for name, p in self.trained.items()}
        self.epoch += 1
        step = self.epoch * self.steps // self.settings.epochs
        self.curve.append(Epoch(self.epoch, step, train_loss, valid_loss, self.seconds()))
        self.step, self.count = 0, 0.0
        self.loss.zero_()
        self.save()

    def waited(self) -> bool:
        """Whether valid's loss was no lower for as many epochs as are allowed."""
        patience = self.settings.patience
        return patience is not None and len(self.curve) - self.best_epoch() >= patience

    def best_epoch(self) -> int:
        """The epoch with the lowest loss on valid, from 1 on; 0 before the first."""
        return min(self.curve, key=lambda row: row.valid_loss).epoch if self.curve else 0

    def choices(self) -> dict[str, Any]:
        """For the Record."""
        return {
            "best_epoch": self.best_epoch(),
            "train_loss": [row.train_loss for row in self.curve],
            "valid_loss": [row.valid_loss for row in self.curve],
            "steps": self.curve[-1].step,
            "trained_parameters": sum(p.numel() for p in self.trained.values()),
            "parameters": self.encoder.total + sum(p.numel() for p in self.head.parameters()),
            **self.encoder.facts,
        }

    def progress(self) -> str:
        """What is shown beside the steps of an epoch."""
        told = f"epoch {self.epoch + 1} of {self.settings.epochs}"
        if self.count:
            told += f", loss {float(self.loss) / self.count:.4f}"
        return told + (f", valid {self.curve[-1].valid_loss:.4f}" if self.curve else "")

    def seconds(self) -> float:
        """What the training has taken so far, before and after a kill."""
        return self.spent + time.monotonic() - self.started

    def cost(self) -> dict[str, int]:
        """What went through the backbone so far, before and after a kill."""
        return {name: v - self.before[name] for name, v in self.backbone.usage().items()}

    def save(self) -> None:
        """Keep the state."""
        self.saved = time.monotonic()
        if self.folder and not rank():
            state = {
                "epoch": self.epoch,
                "step": self.step,
                "loss": self.loss,
                "count": self.count,
                "curve": [tuple(row) for row in self.curve],
                "best": self.best,
                "spent": self.seconds(),
                "cost": self.cost(),
                "trained": {name: p.detach() for name, p in self.trained.items()},
                "optimizer": self.optimizer.state_dict(),
            }
            checkpoints.save_state(self.folder, state)

    def restore(self) -> None:
        """Go on from the state that a killed run has left, if there is one."""
        if not broadcast(bool(self.folder and (self.folder / checkpoints.STATE).exists())):
            return
        assert self.folder
        state = checkpoints.load_state(self.folder)
        if state is None:
            return
        self.epoch, self.step, self.count = state["epoch"], state["step"], state["count"]
        self.loss.copy_(state["loss"])
        self.curve = [Epoch(*row) for row in state["curve"]]
        self.best, self.spent = state["best"], state["spent"]
        add_usage(self.backbone, state["cost"])
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state["trained"][name])
        self.optimizer.load_state_dict(state["optimizer"])


def add_usage(backbone: Backbone, cost: Mapping[str, int]) -> None:
    """Count what an earlier process has put through the backbone."""
    if isinstance(backbone, Transformer):
        for name, amount in cost.items():
            backbone.flop_counter.usage[name] += amount


def effective_batches(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Each example once, in batches of similar lengths; the same ones by the seed and epoch."""
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths)).tolist()
    made: list[list[int]] = []
    for start in range(0, len(order), POOL * size):
        pool = sorted(order[start : start + POOL * size], key=lambda row: lengths[row])
        made += [pool[at : at + size] for at in range(0, len(pool), size)]
    return [made[at] for at in rng.permutation(len(made)).tolist()]


def rate(schedule: str, step: int, steps: int, warmup: float) -> float:
    """The share of the learning rate at a step, counted from 0, as transformers' schedules."""
    rising = ceil(warmup * steps)
    if step < rising:
        return step / rising
    if schedule == "constant":
        return 1.0
    passed = (step - rising) / max(1, steps - rising)
    return 1 - passed if schedule == "linear" else (1 + cos(pi * passed)) / 2


def grouped(vectors: Iterable[Float32]) -> Iterator[tuple[Float32, list[int]]]:
    """Rows of whole examples together, (n, width), and how many each has."""
    group: list[Float32] = []
    count = 0
    for rows in vectors:
        group.append(rows)
        count += len(rows)
        if count >= ROWS:
            yield np.concatenate(group), [len(part) for part in group]
            group, count = [], 0
    if group:
        yield np.concatenate(group), [len(part) for part in group]

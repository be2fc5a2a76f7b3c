"""The training loop: effective batches, schedule, epochs, checkpoint states.

An effective batch is a fixed number of examples. However it is divided, to fit in memory or among
processes, the gradient is that of the mean loss over all of its known answers.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from hashlib import sha256
from math import ceil, isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.backbones.device import inference, memory_errors
from benchmark.core import Backbone, Chains, Example, FitContext, Float32, Readout, UserError
from benchmark.distributed import all_gather, all_reduce, broadcast, rank, world_size
from benchmark.embedding.batching import batches, lower_budget
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.features import embedded_chains, is_protein_level
from benchmark.methods.finetune import checkpoints
from benchmark.methods.finetune.checkpoints import Epoch
from benchmark.methods.finetune.heads import Head, Objective, Target
from benchmark.methods.finetune.schedule import effective_batches, rate
from benchmark.progress import note, track

ROWS = 16_384
"""Vectors that a head processes at a time."""


class VectorSource(NamedTuple):
    """Inputs of the head: for each example a protein's (1, width) or its residues' (L, width)."""

    train: Callable[[Sequence[int]], Tensor]
    """Vectors of these train examples, concatenated, with gradients."""
    valid: Callable[[], Iterable[Float32]]
    """Vectors of each valid example, in order."""


class Encoder(ABC):
    """The part below the head, which embeds chains; by default it has no trained weights."""

    facts: Mapping[str, Any] = {}
    """For the Record."""

    def __init__(self, embedder: Embedder, readout: Readout) -> None:
        backbone = embedder.backbone
        self.embedder, self.readout = embedder, readout
        self.width = backbone.protein_dim if is_protein_level(readout) else backbone.residue_dim
        self.device = torch.device(getattr(backbone, "device", "cpu"))
        self.total = int(backbone.facts().get("parameters", 0))

    def attached(self) -> AbstractContextManager[None]:
        """Within the context the backbone has the trained weights, outside its original ones."""
        return nullcontext()

    def trained(self) -> Mapping[str, nn.Parameter]:
        """Trained weights by name, float32; to be called and used while attached."""
        return {}

    def train(self, mode: bool) -> None:  # noqa: B027 (most encoders have no dropout)
        """Switch its dropout on or off."""

    @abstractmethod
    def source(
        self, train: Sequence[Chains], valid: Sequence[Chains]
    ) -> AbstractContextManager[VectorSource]:
        """Vectors of these inputs."""

    def save(self, folder: Path) -> None:  # noqa: B027
        """Save the trained weights."""

    def load(self, folder: Path) -> None:  # noqa: B027
        """Load the weights that `save` wrote."""


class Trainer:
    """One training; its attributes are the state that is saved."""

    def __init__(
        self, settings: Any, encoder: Encoder, head: Head, objective: Objective, context: FitContext
    ) -> None:
        self.settings, self.encoder, self.head, self.objective = settings, encoder, head, objective
        self.backbone, self.seed, self.folder = context.backbone, context.seed, context.folder
        self.size = settings.batch[objective.readout.level]
        self.epoch = self.step = 0
        self.loss = torch.zeros((), dtype=torch.float64, device=encoder.device)
        self.count = 0.0
        self.curve: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.spent = 0.0
        self.before = dict(self.backbone.usage())
        self.started = self.saved = time.monotonic()

    def run(self, train: Sequence[Example], valid: Sequence[Example]) -> dict[str, Any]:
        """Train encoder and head; return the choices for the Record."""
        readout = self.objective.readout
        inputs = embedded_chains(self.backbone, readout, [e.chains for e in train])
        held_out = embedded_chains(self.backbone, readout, [e.chains for e in valid])
        self.lengths = [sum(map(len, chains)) for chains in inputs]
        self.rows = [1] * len(inputs) if is_protein_level(readout) else self.lengths
        self.targets = [self.objective.target(example) for example in train]
        truth = [self.objective.target(example) for example in valid]
        self.steps = ceil(len(train) / self.size) * self.settings.epochs
        with self.encoder.attached(), self.encoder.source(inputs, held_out) as self.source:
            heads = {f"head.{name}": part for name, part in self.head.named_parameters()}
            self.trained = {**self.encoder.trained(), **heads}
            self.optimizer = torch.optim.AdamW(
                self.trained.values(),
                betas=tuple(self.settings.betas),
                weight_decay=self.settings.weight_decay,
                fused=True,
            )
            self.restore()
            check_replicas(self.trained, "at the start")
            while self.epoch < self.settings.epochs and not self.out_of_patience():
                self.train_epoch()
                self.end_epoch(self.valid_loss(truth))
            check_replicas(self.trained, "at the end")
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
        """Train on the remaining batches of an epoch."""
        order = effective_batches(self.lengths, self.size, self.seed, self.epoch)
        self.encoder.train(True)
        self.head.train()
        remaining = order[self.step :]
        for batch in track(remaining, len(remaining), self.progress):
            done = self.epoch * len(order) + self.step
            factor = rate(self.settings.schedule, done, self.steps, self.settings.warmup)
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.lr * factor
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
        """Compute the gradients of an effective batch's mean loss; return summed loss and weight.

        Processes take shares of similar lengths. A part that does not fit in memory is divided.
        """
        weight = sum(self.objective.count(self.targets[row]) for row in batch)
        share = sorted(batch, key=lambda row: -self.lengths[row])[rank() :: world_size()]
        noise = np.random.SeedSequence([self.seed, self.epoch, self.step, rank()])
        while True:
            self.optimizer.zero_grad()
            torch.manual_seed(int(noise.generate_state(1)[0]))  # dropout, the same after resuming
            loss = torch.zeros((), device=self.encoder.device)
            lengths = [self.lengths[row] for row in share]
            parts = batches(lengths, self.backbone.batch_tokens)
            part: list[int] = []
            try:
                for part in parts:
                    loss += self.backward([share[at] for at in part], weight)
                break
            except MemoryError:
                pass  # leaving the handler frees the traceback, which holds the memory
            lower_budget(self.backbone, [lengths[at] for at in part])
        for parameter in self.trained.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        all_reduce([*(p.grad for p in self.trained.values() if p.grad is not None), loss])
        return loss, weight

    def backward(self, rows: Sequence[int], weight: float) -> Tensor:
        """Add the gradients of a part of an effective batch; return its summed loss."""
        with memory_errors():
            scores = self.head(self.source.train(rows), [self.rows[row] for row in rows])
            loss = self.objective.loss(scores, [self.targets[row] for row in rows])
            (loss / weight).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def valid_loss(self, truth: Sequence[Target]) -> float:
        """The mean loss over the known answers of valid."""
        self.encoder.train(False)
        self.head.eval()
        total = torch.zeros((), dtype=torch.float64, device=self.encoder.device)
        seen = 0
        for rows, lengths in grouped(self.source.valid()):
            if not rank():  # the others embed
                with inference():
                    scores = self.head(torch.from_numpy(rows), lengths)
                    total += self.objective.loss(scores, truth[seen : seen + len(lengths)])
            seen += len(lengths)
        return broadcast(float(total) / sum(map(self.objective.count, truth)))

    def end_epoch(self, valid_loss: float) -> None:
        """Record the losses, and copy the weights if the loss on valid is the lowest so far."""
        train_loss = float(self.loss) / self.count
        if not isfinite(train_loss + valid_loss):
            raise UserError("the loss is not finite; lower method.lr, or give method.clip=1.0")
        if all(valid_loss < row.valid_loss for row in self.curve):
            self.best = {name: p.detach().to("cpu", copy=True) for name, p in self.trained.items()}
        self.epoch += 1
        step = self.epoch * self.steps // self.settings.epochs
        self.curve.append(Epoch(self.epoch, step, train_loss, valid_loss, self.seconds()))
        self.step, self.count = 0, 0.0
        self.loss.zero_()
        self.save()

    def out_of_patience(self) -> bool:
        """Whether the loss on valid has not fallen for `patience` epochs."""
        patience = self.settings.patience
        return patience is not None and len(self.curve) - self.best_epoch() >= patience

    def best_epoch(self) -> int:
        """The epoch with the lowest loss on valid, 1-based; 0 before the first."""
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
        """Text next to the progress bar of an epoch."""
        text = f"epoch {self.epoch + 1} of {self.settings.epochs}"
        if self.count:
            text += f", loss {float(self.loss) / self.count:.4f}"
        return text + (f", valid {self.curve[-1].valid_loss:.4f}" if self.curve else "")

    def seconds(self) -> float:
        """Time of the training so far, including before an interruption."""
        return self.spent + time.monotonic() - self.started

    def cost(self) -> dict[str, int]:
        """Work of the backbone so far, including before an interruption."""
        return {name: v - self.before[name] for name, v in self.backbone.usage().items()}

    def save(self) -> None:
        """Save the state."""
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
        """Resume from the state of an interrupted run, if there is one."""
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
        note(f"resumed the training in epoch {self.epoch + 1}, after {self.step} of its steps")


def check_replicas(tensors: Mapping[str, Tensor], when: str) -> None:
    """Refuse to go on if the processes have different tensors; `when` names the time."""
    if world_size() == 1:
        return
    mine = sha256()
    for tensor in tensors.values():
        mine.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    digests = [digest for (digest,) in all_gather([mine.hexdigest()])]
    if other := [number for number, digest in enumerate(digests) if digest != digests[0]]:
        raise UserError(
            f"process {other[0]} has other weights than process 0 {when} of the training; "
            "use GPUs of one kind and one version of each library, or one process"
        )


def add_usage(backbone: Backbone, cost: Mapping[str, int]) -> None:
    """Add the work of an earlier process to the backbone's totals."""
    counter = getattr(backbone, "flop_counter", None)
    if counter is not None:
        for name, amount in cost.items():
            counter.usage[name] += amount


def grouped(vectors: Iterable[Float32]) -> Iterator[tuple[Float32, list[int]]]:
    """Groups of whole examples: their rows, (n, width), and the number of rows of each."""
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

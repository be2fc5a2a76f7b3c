"""Learning by gradient descent, a head and what is below it: `mlp`, `lora` and `finetune`."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.backbones.device import inference
from benchmark.core import Backbone, Chains, Example, Method, Predictor, Readout, UserError, Value
from benchmark.distributed import broadcast
from benchmark.embedding.features import read_by, side_by_side, vectors
from benchmark.methods.finetune import checkpoints
from benchmark.methods.finetune.heads import Head, Objective, Weighting, answers
from benchmark.methods.finetune.trainer import SCHEDULES, Encoder, Trainer, add_usage, grouped
from benchmark.methods.probe.design_matrix import known


@dataclass(frozen=True, kw_only=True)
class Training(Method):
    """What every training has; the head is an MLP.

    hidden, head_dropout: widths of the head's hidden layers, and dropout after each.
    batch: examples in an effective batch, by the readout's level.
    lr, betas, weight_decay: of AdamW.
    schedule, warmup: linear, cosine or constant, after a share of all steps with a rising rate.
    clip: largest norm of the gradient, or null.
    class_weights: balanced, or null.
    patience: epochs without a lower loss on valid after which it ends, or null.
    save_minutes: between two states to go on from; there is one after each epoch in any case.
    """

    hidden: Sequence[int]
    head_dropout: float
    batch: Mapping[str, int]
    epochs: int
    lr: float
    betas: Sequence[float]
    weight_decay: float
    schedule: str
    warmup: float
    clip: float | None
    class_weights: Weighting
    patience: int | None
    save_minutes: float

    def __post_init__(self) -> None:
        levels = ("protein", "variant", "residue", "pair")
        if not isinstance(self.batch, Mapping) or set(self.batch) != set(levels):
            raise UserError(
                f"method.batch={self.batch} is not a number for each of {', '.join(levels)}"
            )
        counts = {f"batch.{level}": size for level, size in self.batch.items()}
        counts |= {"epochs": self.epochs, "patience": 1 if self.patience is None else self.patience}
        for name, value in counts.items():
            if type(value) is not int or value < 1:
                raise UserError(f"method.{name}={value} is not a whole number from 1 on")
        if not of_type(self.hidden, int) or min(self.hidden, default=1) < 1:
            raise UserError(f"method.hidden={self.hidden} is not a list of widths, as in [128]")
        if not of_type(self.betas, int | float) or len(self.betas) != 2:
            raise UserError(f"method.betas={self.betas} is not a list of two numbers")
        in_range("lr", self.lr, above=0)
        in_range("head_dropout", self.head_dropout, least=0, below=1)
        in_range("warmup", self.warmup, least=0, below=1)
        in_range("weight_decay", self.weight_decay, least=0)
        in_range("save_minutes", self.save_minutes, least=0)
        in_range("clip", 1 if self.clip is None else self.clip, above=0)
        for beta in self.betas:
            in_range("betas", beta, least=0, below=1)
        if self.schedule not in SCHEDULES:
            raise UserError(
                f"method.schedule={self.schedule} is not known; allowed are {', '.join(SCHEDULES)}"
            )
        if self.class_weights not in (None, "balanced"):
            raise UserError(
                f"method.class_weights={self.class_weights} is not known; "
                "allowed are balanced, null"
            )

    @abstractmethod
    def encoder(self, backbone: Backbone, readout: Readout) -> Encoder:
        """What is below the head; a backbone that has not got it is refused."""

    def fit(
        self,
        backbone: Backbone,
        readout: Readout,
        train: Sequence[Example],
        valid: Sequence[Example],
        seed: int,
        folder: Path | None = None,
    ) -> Predictor:
        """Train on `train`, and keep the epoch with the lowest loss on `valid`."""
        if self.class_weights and readout.kind == "regression":
            raise UserError("method.class_weights=balanced is for classes; real answers have none")
        devices = [] if not torch.cuda.is_available() else range(torch.cuda.device_count())
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)
            encoder = self.encoder(backbone, readout)
            examples, held_out = (
                answered(part, readout, what) for part, what in ((train, "train"), (valid, "valid"))
            )
            objective = Objective(readout, examples, self.class_weights, encoder.device)
            (chains,) = read_by(backbone, readout, [examples[0].chains])
            width = encoder.width * (len(chains) if side_by_side(readout) else 1)
            head = Head(width, readout, self.hidden, self.head_dropout).to(encoder.device)
            head.mean.fill_(objective.mean)
            head.scale.fill_(objective.scale)
            if broadcast(bool(folder and (folder / checkpoints.FIT).exists())):
                assert folder
                encoder.load(folder)
                head.load_state_dict(checkpoints.load_tensors(folder / checkpoints.HEAD))
                kept = json.loads((folder / checkpoints.FIT).read_text(encoding="utf-8"))
                choices = kept["choices"]
                add_usage(backbone, kept["cost"])
            else:
                choices = Trainer(self, backbone, encoder, head, objective, seed, folder).run(
                    examples, held_out
                )
        head.requires_grad_(False)
        return Predictor(
            lambda questions: predict(encoder, head, backbone, readout, questions), choices
        )


def of_type(values: object, kind: Any) -> bool:
    """Whether it is a list of such numbers; True and False are none."""
    return isinstance(values, list | tuple) and all(
        isinstance(value, kind) and not isinstance(value, bool) for value in values
    )


def in_range(
    name: str,
    value: object,
    *,
    least: float = -inf,
    above: float = -inf,
    below: float = inf,
) -> None:
    """Refuse a setting that is no number, or not in its range."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UserError(f"method.{name}={value} is not a number")
    if not (value >= least and value > above and value < below):
        limits = {"from": least, "above": above, "below": below}
        told = " and ".join(f"{word} {limit}" for word, limit in limits.items() if isfinite(limit))
        raise UserError(f"method.{name}={value} is not allowed; give a number {told}")


def answered(examples: Sequence[Example], readout: Readout, what: str) -> list[Example]:
    """The examples with an answer to learn from; a chain without a pair that is asked has none."""
    near = max(1, readout.min_separation)
    found = [
        example
        for example in examples
        if (
            len(example.chains[0]) > near
            if readout.level == "pair"
            else known(np.atleast_1d(example.label), readout).any()
        )
    ]
    if not found:
        raise UserError(f"no example of {what} has a known answer; a training needs some")
    return found


def predict(
    encoder: Encoder, head: Head, backbone: Backbone, readout: Readout, questions: Sequence[Chains]
) -> Iterator[Value]:
    """Answer each question, in order, with what was learned in place."""
    read = read_by(backbone, readout, questions)
    with encoder.attached():
        head.eval()
        for rows, lengths in grouped(vectors(backbone, readout, read, "test")):
            with inference():
                found = list(answers(head, readout, head(torch.from_numpy(rows), lengths)))
            yield from found

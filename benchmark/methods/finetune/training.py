"""Training by gradient descent, common to `mlp`, `lora` and `finetune`."""

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from benchmark.backbones.device import inference
from benchmark.core.answers import Chains, Readout, Value, known_answers, known_pairs
from benchmark.core.errors import UserError
from benchmark.core.method import FitContext, Method, Predictor
from benchmark.core.metric import Examples
from benchmark.distributed import broadcast, rank
from benchmark.embedding.features import embedded_chains, feature_rows, is_protein_level
from benchmark.methods.finetune import checkpoints
from benchmark.methods.finetune.heads import Head, Objective, Weighting, predictions
from benchmark.methods.finetune.schedule import SCHEDULES
from benchmark.methods.finetune.trainer import Encoder, Trainer, add_usage, grouped


@dataclass(frozen=True, kw_only=True)
class Training(Method):
    """A trained MLP head, on an encoder that the subclass chooses.

    hidden, head_dropout: widths of the head's hidden layers, and dropout after each.
    batch: examples in an effective batch, by the readout's level.
    lr, betas, weight_decay: of AdamW.
    schedule, warmup: linear, cosine or constant, after warmup for this fraction of all steps.
    clip: largest norm of the gradient, or null.
    class_weights: balanced, or null.
    patience: stop after so many epochs without a lower loss on valid, or null.
    save_minutes: between two checkpoint states; one is saved after each epoch in any case.
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
                f"method.batch={self.batch} must map each of {', '.join(levels)} to a number"
            )
        counts = {f"batch.{level}": size for level, size in self.batch.items()}
        counts |= {"epochs": self.epochs, "patience": 1 if self.patience is None else self.patience}
        for name, value in counts.items():
            if type(value) is not int or value < 1:
                raise UserError(f"method.{name}={value} is not a whole number of at least 1")
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
            allowed = ", ".join(SCHEDULES)
            raise UserError(f"method.schedule={self.schedule} is not known; allowed are {allowed}")
        if self.class_weights not in (None, "balanced"):
            found = self.class_weights
            raise UserError(
                f"method.class_weights={found} is not known; allowed are balanced, null"
            )

    @abstractmethod
    def encoder(self, context: FitContext) -> Encoder:
        """The encoder below the head; refuses a backbone that lacks the ability."""

    def fit(self, train: Examples, valid: Examples, context: FitContext) -> Predictor:
        """Train on `train`, select the epoch with the lowest loss on `valid`."""
        backbone, readout, folder = context.backbone, context.readout, context.folder
        if self.class_weights and readout.kind == "regression":
            raise UserError(
                "method.class_weights=balanced needs classes; this task is a regression"
            )
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(context.seed)
            encoder = self.encoder(context)
            examples = answered(train, readout, "train")
            held_out = answered(valid, readout, "valid")
            objective = Objective(readout, examples, self.class_weights, encoder.device)
            (chains,) = embedded_chains(backbone, readout, [examples[0].chains])
            width = encoder.width * (len(chains) if is_protein_level(readout) else 1)
            head = Head(width, readout, self.hidden, self.head_dropout).to(encoder.device)
            head.mean.fill_(objective.mean)
            head.scale.fill_(objective.scale)
            if broadcast(bool(folder and (folder / checkpoints.FIT).exists())):
                assert folder
                encoder.load(folder)
                head.load_state_dict(load_file(folder / checkpoints.HEAD))
                saved = json.loads((folder / checkpoints.FIT).read_text(encoding="utf-8"))
                choices = saved["choices"]
                add_usage(backbone, saved["cost"])
            else:
                choices = Trainer(self, encoder, head, objective, context).run(examples, held_out)
        head.requires_grad_(False)
        return Predictor(lambda inputs: predict(encoder, head, readout, inputs), choices)


def of_type(values: object, kind: Any) -> bool:
    """Whether it is a list of such numbers; booleans are not numbers here."""
    return isinstance(values, list | tuple) and all(
        isinstance(value, kind) and not isinstance(value, bool) for value in values
    )


def in_range(
    name: str, value: object, *, least: float = -inf, above: float = -inf, below: float = inf
) -> None:
    """Refuse a setting that is not a number, or out of range."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise UserError(f"method.{name}={value} is not a number")
    if not (value >= least and value > above and value < below):
        limits = {"of at least": least, "above": above, "below": below}
        allowed = " and ".join(f"{word} {x}" for word, x in limits.items() if isfinite(x))
        raise UserError(f"method.{name}={value} is not allowed; give a number {allowed}")


def answered(examples: Examples, readout: Readout, split: str) -> Examples:
    """The examples with a known answer; a chain too short for any pair has none."""
    if readout.level == "pair":
        first = readout.first_separation
        known = (known_pairs(e.label, len(e.chains[0])) for e in examples)
        found = [e for e, pairs in zip(examples, known, strict=True) if np.triu(pairs, first).any()]
    else:
        found = [e for e in examples if known_answers(e.label, readout).any()]
    if not found:
        raise UserError(f"no example of {split} has a known answer; training needs some")
    return found


def predict(
    encoder: Encoder, head: Head, readout: Readout, inputs: Sequence[Chains]
) -> Iterator[Value]:
    """Yield the prediction of each input, in order; processes other than the first only embed.

    The trained weights are attached while a group is computed, never while the caller has control.
    """
    chains = embedded_chains(encoder.embedder.backbone, readout, inputs)
    groups = grouped(feature_rows(encoder.embedder, readout, chains, "test"))
    head.eval()
    while True:
        with encoder.attached(), inference():
            group = next(groups, None)
            if group is None:
                return
            rows, lengths = group
            found = [np.empty(0)] * len(lengths)
            if not rank():
                found = list(predictions(head, readout, head(torch.from_numpy(rows), lengths)))
        yield from found

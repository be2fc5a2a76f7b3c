"""New chains from a language model: causal models continue prompts, masked models fill masks."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from benchmark.core import (
    MASK,
    Array,
    Backbone,
    Chains,
    Example,
    FitContext,
    Method,
    Predictor,
    Sampled,
    Sampling,
    UserError,
)
from benchmark.distributed import map_sharded
from benchmark.embedding.extraction import CHAINS_PER_GATHER


@dataclass(frozen=True, kw_only=True)
class Sample(Sampling, Method):
    """Continue the prompts of a task of kind "sequence".

    reject: share of the chains of each prompt to drop, those of the highest perplexity under the
        model itself; so many more are sampled. At most this share, and the choices have the actual.
    passes, order: of masked models (`benchmark.backbones.refilling`), for which a prompt is
        followed by masks up to a length that is drawn among those of the natural chains in train.
    """

    VERSION = 1
    frozen = True
    answers_sequence = True
    reject: float
    passes: int | None
    order: str

    def __post_init__(self) -> None:
        from benchmark.backbones.refilling import ORDERS

        super().__post_init__()
        if type(self.reject) not in (int, float) or not 0 <= self.reject < 1:
            raise UserError(f"method.reject={self.reject} is not allowed; give a share below 1")
        if self.passes is not None and (type(self.passes) is not int or self.passes < 1):
            raise UserError(f"method.passes={self.passes} is not allowed; give 1 or more, or null")
        if self.order not in ORDERS:
            allowed = ", ".join(ORDERS)
            raise UserError(f"method.order={self.order} is not known; allowed are {allowed}")

    def fit(
        self, train: Sequence[Example], valid: Sequence[Example], context: FitContext
    ) -> Predictor:
        """Check the model; only the lengths of train are used, and only for masked models."""
        backbone = context.backbone
        if "sampling" in backbone.abilities:
            self._check_causal(backbone)
            choices: dict[str, Any] = {"sampling": "causal"}
            predict = partial(self._continue, backbone, context.seed, choices)
        elif "masked_log_probs" in backbone.abilities:
            self._check_masked()
            choices = {"sampling": "refill"}
            lengths = np.array([len(example.chains[0]) for example in train])
            predict = partial(self._refill, backbone, context.seed, choices, lengths)
        else:
            why = f" ({backbone.limits})" if backbone.limits else ""
            raise UserError(
                "method=sample needs a language model with its head, causal or masked; the "
                f"backbone {type(backbone).__name__} has none{why}; choose another model"
            )
        return Predictor(predict, choices)

    def _check_causal(self, backbone: Backbone) -> None:
        try:
            signature(backbone.sample).bind([], self, [])
        except TypeError:
            raise UserError(
                f"{type(backbone).__name__}.sample has an old signature; write def sample(self, "
                "prompts, settings, seeds), which returns a list of benchmark.core.Sampled"
            ) from None

    def _check_masked(self) -> None:
        for name, off in (("repetition_penalty", 1), ("no_repeat_ngram", None), ("reject", 0)):
            if (value := getattr(self, name)) != off:
                raise UserError(
                    f"method.{name}={value} is for causal models, and this one fills masks; leave "
                    "it out"
                )

    def _continue(
        self, backbone: Backbone, seed: int, choices: dict[str, Any], inputs: Sequence[Chains]
    ) -> Iterator[Sampled]:
        prompts = [chain for (chain,) in inputs]
        counts = Counter(prompts)
        drawn = {p: int(count / (1 - self.reject) + 1e-9) for p, count in counts.items()}
        if self.reject and drawn == counts:
            most = max(counts.values())
            raise UserError(
                f"method.reject={self.reject} drops no chain, because each prompt occurs at most "
                f"{most} times; give a larger share, or more chains of a prompt"
            )
        every = prompts + [p for p, count in drawn.items() for _ in range(count - counts[p])]
        found = self._timed(partial(backbone.sample, settings=self), every, seed, choices)
        if self.reject:
            choices["rejected"] = 1 - len(prompts) / len(every)
            found = best(found, every, prompts)
        yield from found

    def _refill(
        self,
        backbone: Backbone,
        seed: int,
        choices: dict[str, Any],
        lengths: Array,
        inputs: Sequence[Chains],
    ) -> Iterator[Sampled]:
        from benchmark.backbones.refilling import refill

        most = min(self.max_length, backbone.max_length or self.max_length)
        stream, templates = np.random.default_rng(seed), list[str]()
        for (prompt,) in inputs:
            least = max(self.min_length, len(prompt) + 1)
            fitting = lengths[(lengths >= least) & (lengths <= most)]
            if not len(fitting):
                raise UserError(
                    f"no chain of train has {least} to {most} residues, so a prompt of "
                    f"{len(prompt)} has no natural length; give other prompts or method.max_length"
                )
            templates.append(prompt + MASK * (int(stream.choice(fitting)) - len(prompt)))
        run = partial(refill, backbone, settings=self, passes=self.passes, order=self.order)
        yield from self._timed(run, templates, seed, choices)

    def _timed(
        self, run: Any, prompts: Sequence[str], seed: int, choices: dict[str, Any]
    ) -> list[Sampled]:
        """Sample with a seed for each chain; several processes divide the prompts among them."""
        seeds = np.random.SeedSequence(seed).generate_state(len(prompts), np.uint64).tolist()

        def part(pairs: Sequence[tuple[str, int]]) -> list[Sampled]:
            mine, own = zip(*pairs, strict=True) if pairs else ((), ())
            return run(list(mine), seeds=list(own)) if pairs else []

        started, pairs = time.perf_counter(), list(zip(prompts, seeds, strict=True))
        found = list(map_sharded(part, pairs, CHAINS_PER_GATHER))
        seconds = time.perf_counter() - started
        given = sum(len(prompt.rstrip(MASK)) for prompt in prompts)
        tokens = sum(len(new.chain) + new.ended for new in found) - given
        choices |= {"tokens": tokens, "tokens_per_second": round(tokens / seconds, 1)}
        return found


def best(found: Sequence[Sampled], every: Sequence[str], prompts: Sequence[str]) -> list[Sampled]:
    """For each prompt a chain, those of the lowest perplexity, in the order of sampling.

    every: (m,), the prompt of each chain found.
    """
    scores = [perplexity(*pair) for pair in zip(found, every, strict=True)]
    order, counts = np.argsort(scores, kind="stable").tolist(), Counter(prompts)
    rows = defaultdict[str, list[int]](list)
    for row in order:
        if len(rows[every[row]]) < counts[every[row]]:
            rows[every[row]].append(row)
    taken = {prompt: iter(sorted(mine)) for prompt, mine in rows.items()}
    return [found[next(taken[prompt])] for prompt in prompts]


def perplexity(sampled: Sampled, prompt: str) -> float:
    """Of what was sampled after the prompt, with the end if the model ended it."""
    tokens = len(sampled.chain) - len(prompt) + sampled.ended
    return float(np.exp(-sampled.log_likelihood / tokens)) if tokens else 1.0

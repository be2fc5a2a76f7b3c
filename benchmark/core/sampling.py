"""What is sampled from a model, and how."""

from dataclasses import dataclass
from math import inf
from sys import float_info
from typing import NamedTuple

from benchmark.core.errors import UserError

TINY = float_info.min
"""Smallest positive number."""


class Sampled(NamedTuple):
    """A new chain, the prediction of a task of sequences."""

    chain: str
    """With its prompt; what follows the prompt is of the 20 residues."""
    log_likelihood: float
    """Sum of natural-log probabilities of the residues after the prompt, and of the end if `ended`,
    by the model at temperature 1 and without truncation or penalties, among the 20 residues and the
    end. NaN: the model has none (mask-refill, natural proteins)."""
    ended: bool
    """Whether the model ended it; False at the longest length, and where the length is given."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How chains are sampled from a causal model; penalties and truncation are off by default.

    Penalties and truncation are those of `transformers`, among the 20 residues and the end: the
    repetition penalty (Keskar et al. 2019) first, then n-grams, lengths, temperature, top-k, top-p.
    """

    temperature: float = 1.0
    """Divides the logits; 0: the most probable residue is always taken (greedy)."""
    top_p: float = 1.0
    """Only the most probable residues are sampled whose probabilities sum to this (nucleus)."""
    top_k: int | None = None
    """Only so many most probable residues are sampled."""
    repetition_penalty: float = 1.0
    """Above 1: residues that occur in the chain are less probable."""
    no_repeat_ngram: int | None = None
    """No n residues in a row occur twice in a chain."""
    min_length: int = 1
    """Shortest chain that can end, in residues, including the prompt's."""
    max_length: int = 500
    """Longest chain, in residues, including the prompt's."""

    def __post_init__(self) -> None:
        real, whole = (int, float), (int,)
        limits: list[tuple[str, tuple[type, ...], float, float, str]] = [
            ("temperature", real, 0, inf, "0 or more"),
            ("top_p", real, TINY, 1, "a share above 0, at most 1"),
            ("top_k", whole, 1, inf, "1 or more, or null"),
            ("repetition_penalty", real, TINY, inf, "a number above 0; 1 is off"),
            ("no_repeat_ngram", whole, 1, inf, "1 or more, or null"),
            ("min_length", whole, 1, inf, "1 or more"),
        ]
        for name, types, least, most, allowed in limits:
            value = getattr(self, name)
            off = value is None and allowed.endswith("null")
            if not off and (type(value) not in types or not least <= value <= most):
                raise UserError(f"{name}={value} is not allowed; give {allowed}")
        if type(self.max_length) is not int or self.max_length < self.min_length:
            raise UserError(
                f"max_length={self.max_length} is not allowed; give {self.min_length} (min_length) "
                "or more"
            )

"""Stable digests of examples, splits and settings."""

import hashlib
import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np

from benchmark.core import Example, Splits


def make_key(parts: Any) -> str:
    """Digest of anything that is JSON; 8 hex digits."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def digest(*parts: str | bytes) -> str:
    """Digest of a sequence of strings; 16 hex digits."""
    state = blake2b(digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def digest_examples(examples: Iterable[Example]) -> str:
    """Digest of a split's content: chains, labels and groups, in order; not of names."""
    state = blake2b(digest_size=8)
    for example in examples:
        label = np.asarray(example.label)
        state.update(f"{example.id} {example.group} {label.dtype} {label.shape}".encode())
        state.update(label.tobytes())
    return state.hexdigest()


def digest_splits(splits: Splits) -> dict[str, str]:
    """Digest of each split's content, of unequal aggregate weights, and of further data, by name.

    Equal weights follow from the names of the test sets.
    """
    parts = {"train": splits.train, "valid": splits.valid, **splits.tests}
    for test, (train, valid) in splits.train_valid_by_test.items():
        parts |= {f"{test}, its train": train, f"{test}, its valid": valid}
    digests = {name: digest_examples(examples) for name, examples in parts.items()}
    for mean, weights in splits.aggregates.items():
        if len(set(weights.values())) > 1:
            digests[f"{mean}, its weights"] = digest(json.dumps(weights, sort_keys=True))
    return {**digests, **splits.further}

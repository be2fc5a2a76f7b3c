"""The embedding caches of a run, identified by everything that determines its embeddings."""

from collections.abc import Mapping
from typing import Any

from benchmark.core import Backbone, EmbeddingCache, Level
from benchmark.embedding.extraction import EMBEDDING_VERSION
from benchmark.embedding.store import CHECKED_WITH, Store
from benchmark.run.code_digest import declared_version, own_digest
from benchmark.run.environment import package_version

LIBRARIES = ("torch", "transformers", "esm")
"""Packages that may change an embedding; stored vectors are checked after a version changes."""


def open_caches(
    backbone: Backbone, store: Store, model: Mapping[str, Any], name: str
) -> dict[Level, EmbeddingCache]:
    """Open a backbone's caches in the store; model: its settings that affect a score."""
    parts = {
        "digest": backbone.digest,
        "dtype": backbone.dtype,
        "versions": [declared_version(type(backbone)), EMBEDDING_VERSION],
    }
    checked = {**{name: package_version(name) for name in LIBRARIES}, "code": own_digest()}
    about = {**model, "model": name, "dtype": backbone.dtype, CHECKED_WITH: checked}
    residue = {key: value for key, value in model.items() if key != "pooling"}
    return {
        "protein": store.cache("protein", {**parts, "settings": model}, about),
        "residue": store.cache("residue", {**parts, "settings": residue}, about),
    }

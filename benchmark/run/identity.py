"""What tells a run's vectors from those of other runs in the store."""

from collections.abc import Mapping
from typing import Any

from benchmark.core import Backbone
from benchmark.embedding.extraction import EMBEDDING_VERSION
from benchmark.embedding.store import CHECKED_WITH, Store
from benchmark.run.code_digest import declared_version, own_digest
from benchmark.run.environment import package_version

LIBRARIES = ("torch", "transformers", "esm")
"""Packages whose version may move an embedding: after a change stored ones are compared."""


def keep_vectors(backbone: Backbone, store: Store, model: Mapping[str, Any], name: str) -> None:
    """Give the backbone its place in the store, by all that decides its vectors but the sequence.

    model: its settings that decide a score.
    """
    decides = {
        "digest": backbone.digest,
        "dtype": backbone.dtype,
        "versions": [declared_version(type(backbone)), EMBEDDING_VERSION],
    }
    libraries = {name: package_version(name) for name in LIBRARIES}
    about = {
        **model,
        "model": name,
        "dtype": backbone.dtype,
        CHECKED_WITH: {**libraries, "code": own_digest()},
    }
    rows = {key: value for key, value in model.items() if key != "pooling"}
    backbone.store = {
        "protein": store.shelf("protein", {**decides, "settings": model}, about),
        "residue": store.shelf("residue", {**decides, "settings": rows}, about),
    }

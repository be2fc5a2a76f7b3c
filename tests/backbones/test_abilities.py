"""Abilities follow the class or the checkpoint, and a model is freed with its last reference."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.core import Backbone, UserError
from benchmark.embedding.extraction import Embedder
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import make


class Length(Backbone):
    """What a user writes: a digest, a dimension and one method."""

    digest = "length"
    protein_dim = 1

    def embed_proteins(self, chains: Any) -> Any:
        return np.array([[len(chain)] for chain in chains], np.float32)


def test_a_class_is_able_to_do_what_it_defines() -> None:
    backbone = Length()

    assert backbone.abilities == {"protein_embeddings"}
    assert [row.item() for row in Embedder(backbone).proteins(["A", "AAA"])] == [1, 3]
    with pytest.raises(UserError, match="method=x needs attention maps; the backbone Length has"):
        backbone.require("attention_maps", "method=x")
    with pytest.raises(UserError, match=r"this call needs masked log-prob.* Length has none"):
        backbone.masked_log_probs(["A"])
    with pytest.raises(UserError, match="needs a vector for each residue"):
        Embedder(backbone).residues(["A"])


def test_a_checkpoint_is_able_to_do_what_its_weights_allow(tmp_path: Path) -> None:
    embeddings = {"residue_embeddings", "protein_embeddings", "attention_maps"}
    for family, more in (
        ("esm2", {"masked_log_probs", "contact_head"}),
        ("gpt2", {"causal_log_probs", "sampling"}),
        ("prott5", set()),
    ):
        backbone = open_folder(make(family, tmp_path / family))
        assert backbone.abilities == embeddings | more
        calls = {
            "masked_log_probs": lambda: backbone.masked_log_probs(["A"]),  # noqa: B023
            "causal_log_probs": lambda: backbone.log_likelihoods(["A"]),  # noqa: B023
            "contact_head": lambda: backbone.contacts(["A"]),  # noqa: B023
        }
        for ability in calls.keys() - more:
            with pytest.raises(UserError, match="the backbone HuggingFace has none"):
                calls[ability]()


class Rising(Backbone):
    """What a user writes of a causal model."""

    digest = "rising"

    def causal_log_probs(self, chains: Any) -> Any:
        return [np.log(np.tile(np.arange(1, 21) / 210, (len(c), 1))) for c in chains]


def test_likelihoods_are_means_over_the_20_residues() -> None:
    found = Rising().log_likelihoods(["ACX", "Y"])
    np.testing.assert_allclose(found, [np.log([1 / 210, 2 / 210]).mean(), np.log(20 / 210)])


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("family", ["esm2", "gpt2"])
def test_a_model_is_freed_with_its_last_reference(family: str, tmp_path: Path) -> None:
    backbone = open_folder(make(family, tmp_path))
    backbone.embed_proteins(["ACD", "ACDEF"])
    gone = weakref.ref(backbone), weakref.ref(next(backbone.module.parameters()))
    del backbone

    assert [found() for found in gone] == [None, None]

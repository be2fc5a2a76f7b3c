"""ESM3 through its authors' package, where that is installed; elsewhere, what is said instead."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.esm3 import Esm3
from benchmark.core import UserError
from tests.checkpoints import save_esm3
from tests.conftest import random_chain

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([30, 1, 7])]


def open_folder(folder: Path, layer: int = -1) -> Esm3:
    settings: dict[str, Any] = {"revision": None, "pooling": "mean", "device": "cpu"}
    settings |= {"device_map": None, "facts": {}}
    return Esm3(path=str(folder), layer=layer, dtype="float32", batch_tokens=1000, **settings)


def test_without_the_package_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "esm.models.esm3", None)
    (tmp_path / "data" / "weights").mkdir(parents=True)
    (tmp_path / "data" / "weights" / "esm3_sm_open_v1.pth").write_bytes(b"")

    with pytest.raises(UserError, match=r"Python 3\.12 or later; there, pip install .*\[esm\]"):
        open_folder(tmp_path)


def test_rows_are_the_models_own(tmp_path: Path) -> None:
    """States, logits and maps as the package's model gives them to a chain alone, with its ids."""
    folder = save_esm3(tmp_path)
    backbone = open_folder(folder)
    assert "masked_log_probs" in backbone.abilities and backbone.objective == "masked"
    model: Any = backbone.module.model
    from esm.tokenization.sequence_tokenizer import EsmSequenceTokenizer

    tokens = EsmSequenceTokenizer()
    probabilities, maps = backbone.masked_log_probs(CHAINS), backbone.attentions(CHAINS)
    for index, chain in enumerate(CHAINS):
        ids = torch.tensor([tokens.encode(chain)])
        with torch.inference_mode():
            expected = model(sequence_tokens=ids, output_attentions=True)
            normed = model.transformer.norm(expected.embeddings)[0, 1:-1]
        np.testing.assert_allclose(backbone.embed_residues(CHAINS)[index], normed, atol=1e-4)
        columns = tokens.convert_tokens_to_ids(list("ACDEFGHIKLMNPQRSTVWY"))
        logits = expected.sequence_logits[0, 1:-1, columns].log_softmax(-1)
        np.testing.assert_allclose(probabilities[index], logits, atol=1e-4)
        table = torch.stack(expected.attentions, dim=1).flatten(1, 2)[0, :, 1:-1, 1:-1]
        np.testing.assert_allclose(maps[index], table, atol=1e-4)
    assert backbone.embed_residues(["ACD"])[0].shape == (3, 128)
    last = open_folder(folder, layer=2).embed_proteins(CHAINS)
    np.testing.assert_array_equal(last, backbone.embed_proteins(CHAINS))
    assert np.abs(open_folder(folder, layer=1).embed_proteins(CHAINS) - last).max() > 1e-3


def test_a_checkpoint_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    path = save_esm3(tmp_path) / "data" / "weights" / "esm3_sm_open_v1.pth"
    weights = torch.load(path)
    del weights["output_heads.sequence_head.0.weight"]
    torch.save(weights, path)

    with pytest.raises(UserError, match=r"has 1 missing or unknown weights .*sequence_head"):
        open_folder(path.parents[2])

"""Trainings: what may divide a batch moves nothing, what is killed goes on, what is learned stays."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from benchmark.backbones.transformer import Transformer
from benchmark.core import Array, Example, Method, Predictor, Readout, Splits, UserError
from benchmark.evaluate import check, evaluate
from benchmark.methods import loop, training
from benchmark.methods.loop import Loop, effective_batches, rate
from benchmark.metrics import find
from tests.checkpoints import FAMILIES, make, save_progen2, save_proteinglm
from tests.conftest import ROOT, composed, make_backbone, make_task, random_chain, toy

REAL = Readout("protein", "real")
TRAININGS = ("mlp", "lora", "finetune")


def method(name: str, *words: str) -> Method:
    settings = [f"method.{word}" for word in words]
    found = instantiate(composed(f"method={name}", *settings).method, _convert_="all")
    assert isinstance(found, Method)
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny checkpoint of every family, the native ones too."""
    place = tmp_path_factory.mktemp("families")
    found = {family: make(family, place / family) for family in FAMILIES}
    found["mlm1b"] = save_proteinglm(place, is_causal=False)
    found["clm1b"] = save_proteinglm(place, is_causal=True)
    found["progen2"] = save_progen2(place)
    return found


def opened(folders: dict[str, Path], family: str, *words: str) -> Transformer:
    name = "huggingface" if family in FAMILIES else family
    backbone = make_backbone(name, folders[family], "device=cpu", *words)
    assert isinstance(backbone, Transformer)
    return backbone


@pytest.fixture
def esm(esm_folder: Path) -> Transformer:
    backbone = make_backbone("huggingface", esm_folder, "device=cpu")
    assert isinstance(backbone, Transformer)
    return backbone


def count_w(chain: str) -> Array:
    return np.asarray(float(chain.count("W")))


def more_w(chain: str) -> Array:
    return np.asarray(int(chain.count("W") > chain.count("A")))


def sort_of(chain: str) -> Array:
    return np.array([0 if c in "AVLIMC" else 1 if c in "FWYH" else 2 for c in chain])


def touching(chain: str) -> Array:
    """Residues of one kind touch, where they are 3 or more apart."""
    kinds = sort_of(chain)
    near = np.triu(np.ones((len(chain), len(chain)), bool), 3)
    return np.argwhere((kinds[:, None] == 1) & (kinds[None] == 1) & near)


LEVELS: dict[str, tuple[Readout, Callable[[str], Array]]] = {
    "protein real": (REAL, count_w),
    "protein class": (Readout("protein", "class", 2), more_w),
    "protein classes": (
        Readout("protein", "class", 3),
        lambda chain: np.asarray(min(2, chain.count("W"))),
    ),
    "protein labels": (
        Readout("protein", "labels", 2),
        lambda chain: np.array([chain.count("W") > 0, chain.count("A") > 1], int),
    ),
    "residue": (Readout("residue", "class", 3), sort_of),
    "pair": (Readout("pair", "class", 2, min_separation=3), touching),
    "variant": (Readout("variant", "real"), count_w),
}


def examples(level: str, count: int, seed: int = 0) -> list[Example]:
    readout, label = LEVELS[level]
    made = toy(label, count, seed)
    if readout.level == "variant":
        made = [e._replace(chains=(*e.chains, "A" * len(e.chains[0]))) for e in made]
    return made


def answer(predictor: Predictor, asked: Sequence[Example]) -> list[Any]:
    return list(predictor.predict([example.chains for example in asked]))


def snapshot(module: Any) -> tuple[Any, ...]:
    """All that a fit could leave changed."""
    return (
        [(name, id(part), part.training) for name, part in module.named_modules()],
        [
            (n, id(p), p.dtype, p.requires_grad, p.grad is None)
            for n, p in module.named_parameters()
        ],
        {name: value.clone() for name, value in module.state_dict().items()},
        sorted(vars(module)),
        module.config._attn_implementation,
    )


@pytest.mark.parametrize("name", ["lora", "finetune"])
@pytest.mark.parametrize("family", [*FAMILIES, "mlm1b", "clm1b", "progen2"])
def test_every_family_is_trained_and_left_as_it_was(
    folders: dict[str, Path], family: str, name: str
) -> None:
    """Bit for bit, after the fit and after predictions; what was learned shows in these."""
    backbone = opened(folders, family)
    before = snapshot(backbone.module)
    state = torch.get_rng_state()
    train = examples("residue", 24)
    words = ["epochs=2", "lr=0.01", "batch.residue=4"]
    predictor = method(name, *words).fit(backbone, LEVELS["residue"][0], train, train[:4], 0)
    after = snapshot(backbone.module)
    first = answer(predictor, train)
    again = snapshot(backbone.module)

    for found in (after, again):
        assert [found[i] for i in (0, 1, 3, 4)] == [before[i] for i in (0, 1, 3, 4)]
        assert all(torch.equal(found[2][key], value) for key, value in before[2].items())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.concatenate(first), np.concatenate(answer(predictor, train)))
    frozen = method("mlp", *words).fit(backbone, LEVELS["residue"][0], train, train[:4], 0)
    assert predictor.choices["valid_loss"] != frozen.choices["valid_loss"]


ADAPTED = {
    "esm2": "query key value dense",
    "esm1b": "query key value dense",
    "esm1v": "query key value dense",
    "esmc": "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj",
    "protbert": "query key value dense",
    "antiberty": "query key value dense",
    "sapiens": "query key value dense",
    "prott5": "q k v o wi wo",
    "gpt2": "c_attn c_proj c_fc",
    "mlm1b": "query_key_value dense dense_h_to_4h dense_4h_to_h",
    "clm1b": "query_key_value dense dense_h_to_4h dense_4h_to_h",
    "progen2": "qkv_proj out_proj fc_in fc_out",
}
"""Attention and feed-forward projections, as the papers' list has them."""


@pytest.mark.parametrize("family", ADAPTED)
def test_adapters_are_beside_attention_and_feed_forward_projections(
    folders: dict[str, Path], family: str, tmp_path: Path
) -> None:
    """All of a block and nothing else; and plain peft reads them, on a base of its own."""
    from peft import PeftModel

    backbone = opened(folders, family)
    train = examples("residue", 16)
    words = ["epochs=1", "lr=0.01", "batch.residue=4", "hidden=[]", "use_rslora=true"]
    learner = method("lora", *words)
    predictor = learner.fit(backbone, LEVELS["residue"][0], train, train[:4], 0, tmp_path)
    assert set(predictor.choices["adapted"]) == set(ADAPTED[family].split())
    weights = {name: p for name, p in backbone.module.named_parameters() if p.ndim == 2}
    blocks = [p for name, p in weights.items() if any(c.isdigit() for c in name.split("."))]
    blocks = [p for p in blocks if "relative_attention_bias" not in str(p.shape)]
    head = (
        16 * 3 + 3
        if family not in ("prott5", "progen2")
        else {"prott5": 27, "progen2": 195}[family]
    )
    expected = sum(16 * sum(p.shape) for p in blocks)
    if family == "prott5":
        expected -= 16 * sum(
            backbone.module.encoder.block[0]
            .layer[0]
            .SelfAttention.relative_attention_bias.weight.shape
        )
    assert predictor.choices["parameters"]["trained"] == expected + head

    fresh = opened(folders, family)
    PeftModel.from_pretrained(fresh.module, tmp_path)
    head_weights = torch.load  # noqa: F841
    from safetensors.torch import load_file

    kept = load_file(tmp_path / "head.safetensors")
    for chains, found in zip(
        [e.chains for e in train[:4]], answer(predictor, train[:4]), strict=True
    ):
        vectors = torch.from_numpy(fresh.embed_residues(chains)[0])
        scores = vectors @ kept["first.weight"].T + kept["first.bias"]
        np.testing.assert_allclose(scores.softmax(-1).numpy(), found, atol=1e-5)

"""LoRA and fine-tuning of every family: the backbone is left unchanged, adapters are peft's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.transformer import Transformer
from benchmark.core import FitContext
from benchmark.methods.finetune import trainer
from tests.checkpoints import FAMILIES, make, save_progen2, save_proteinglm
from tests.conftest import make_backbone
from tests.learning import LEVELS, REAL, answer, examples, method


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
    predictor = method(name, *words).fit(
        train, train[:4], FitContext(backbone, LEVELS["residue"][0], 0)
    )
    after = snapshot(backbone.module)
    first = answer(predictor, train)
    again = snapshot(backbone.module)

    for found in (after, again):
        assert [found[i] for i in (0, 1, 3, 4)] == [before[i] for i in (0, 1, 3, 4)]
        assert all(torch.equal(found[2][key], value) for key, value in before[2].items())
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.concatenate(first), np.concatenate(answer(predictor, train)))
    frozen = method("mlp", *words).fit(
        train, train[:4], FitContext(backbone, LEVELS["residue"][0], 0)
    )
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
    from safetensors.torch import load_file

    backbone = opened(folders, family)
    train = examples("residue", 16)
    words = ["epochs=1", "lr=0.01", "batch.residue=4", "hidden=[]", "use_rslora=true"]
    learner = method("lora", *words)
    predictor = learner.fit(
        train, train[:4], FitContext(backbone, LEVELS["residue"][0], 0, tmp_path)
    )
    assert set(predictor.choices["adapted"]) == set(ADAPTED[family].split())
    blocks = [
        parameter
        for name, parameter in backbone.module.named_parameters()
        if parameter.ndim == 2 and any(part.isdigit() for part in name.split("."))
    ]
    tables = [p for p in blocks if p.shape == (32, 2)]  # T5's relative positions
    dim = backbone.residue_dim
    expected = 16 * sum(sum(p.shape) for p in blocks) - 16 * sum(sum(p.shape) for p in tables)
    assert predictor.choices["trained_parameters"] == expected + 3 * dim + 3

    fresh = opened(folders, family)
    PeftModel.from_pretrained(fresh.module, tmp_path)
    kept = load_file(tmp_path / "head.safetensors")
    for chains, found in zip(
        [e.chains for e in train[:4]], answer(predictor, train[:4]), strict=True
    ):
        vectors = torch.from_numpy(fresh.embed_residues(chains)[0])
        scores = vectors @ kept["first.weight"].T + kept["first.bias"]
        np.testing.assert_allclose(scores.softmax(-1).numpy(), found, atol=1e-5)


@pytest.mark.parametrize("name", ["lora", "finetune"])
@pytest.mark.parametrize("family", ["esm2", "esmc", "prott5", "mlm1b", "progen2"])
def test_low_precision_trains_in_full(
    folders: dict[str, Path], family: str, name: str, tmp_path: Path
) -> None:
    """The base stays in bfloat16; what is trained, and its optimiser, is float32."""
    backbone = opened(folders, family, "dtype=bfloat16")
    exact = opened(folders, family, "dtype=float32")
    train, test = examples("protein real", 48), examples("protein real", 9, 1)
    learner = method(name, "epochs=2", "lr=0.003", "save_minutes=0", "batch.protein=8")
    seen = set()
    all_reduce = trainer.all_reduce

    def look(tensors: Any) -> None:
        seen.update(tensor.dtype for tensor in tensors)
        seen.update(p.dtype for p in backbone.module.parameters())
        all_reduce(tensors)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trainer, "all_reduce", look)
        low = learner.fit(train, test, FitContext(backbone, REAL, 0))
    full = learner.fit(train, test, FitContext(exact, REAL, 0))
    assert {p.dtype for p in backbone.module.parameters()} == {torch.bfloat16}
    assert seen <= {torch.float32, torch.bfloat16}
    assert low.choices["train_loss"] == pytest.approx(full.choices["train_loss"], rel=0.1)
    assert all(np.isfinite(value) for value in answer(low, test))

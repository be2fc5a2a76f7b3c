"""Modules of transformers that no yaml names: their abilities are found by trial."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.core import Example, FitContext, Readout, UserError
from benchmark.methods.finetune.lora import linear_layers
from benchmark.testing.backbone import findings
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import OTHERS, make
from tests.conftest import SHARED
from tests.learning import answer, method

CHAIN = "MKTAYIAKQRQISFVKSHFSRQW"
CASES = SHARED / "cases"
EMBEDDINGS = {"residue_embeddings", "protein_embeddings"}
CAUSAL = {"causal_log_probs", "sampling"}
ABLE: dict[str, set[str]] = {
    "mamba": EMBEDDINGS | CAUSAL,
    "mamba2": EMBEDDINGS | CAUSAL,
    "t5_encoder": EMBEDDINGS | {"attention_maps"},
    "bart": EMBEDDINGS | {"attention_maps"},
    "albert": EMBEDDINGS | {"attention_maps", "masked_log_probs"},
}
ADAPTED = {
    "mamba": {"in_proj", "x_proj"},
    "mamba2": {"in_proj"},
    "t5_encoder": {"q", "k", "v", "o", "wi", "wo"},
    "bart": {"q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"},
}
"""Of Mamba: dt_proj and, in peft's judgement, out_proj lend their weights to a kernel."""


@pytest.mark.parametrize("family", OTHERS)
def test_abilities_are_those_of_the_module(family: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path)
    backbone = open_folder(folder)

    assert backbone.abilities == ABLE[family]
    if "attention_maps" in backbone.abilities:
        (maps,) = backbone.attentions([CHAIN])
        count = 4 if family == "t5_encoder" else 8
        assert maps.shape == (count, len(CHAIN), len(CHAIN))
    else:
        with pytest.raises(UserError, match=r"method=attention needs attention maps; .* has none"):
            backbone.require("attention_maps", "method=attention")
        assert backbone.flop_counter.width == 0, "no FLOPs of attention"


@pytest.mark.slow
@pytest.mark.parametrize("family", OTHERS)
def test_check_passes(family: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path)
    backbone = open_folder(folder)
    found = list(findings(backbone, lambda dtype: open_folder(folder, dtype=dtype)))
    assert not [finding for finding in found if not finding.passed]
    adapted = "adapters: tensors with a gradient" in {finding.check for finding in found}
    assert adapted == (family != "albert"), "its layers share one block"


@pytest.mark.parametrize(
    ("family", "auto"),
    [
        ("mamba", "MambaModel"),
        ("mamba2", "Mamba2Model"),
        ("t5_encoder", "T5EncoderModel"),
        ("bart", "BartModel"),
        ("albert", "AlbertModel"),
    ],
)
def test_rows_are_the_modules_own(family: str, auto: str, tmp_path: Path) -> None:
    import transformers

    folder = make(family, tmp_path)
    backbone = open_folder(folder)
    module: Any = getattr(transformers, auto).from_pretrained(folder).eval()
    module = module.get_encoder() if family == "bart" else module
    ids = torch.tensor([backbone.alphabet.encode(CHAIN)])
    with torch.inference_mode():
        states = module(input_ids=ids).last_hidden_state[0].numpy()
    start = len(backbone.alphabet.prefix)
    rows = backbone.embed_residues(["ACD", CHAIN])[1]
    np.testing.assert_allclose(rows, states[start : start + len(CHAIN)], atol=1e-5)


@pytest.mark.parametrize("family", ADAPTED)
def test_lora_adapts_the_layers_that_run(family: str, tmp_path: Path) -> None:
    backbone = open_folder(make(family, tmp_path))
    names = {name.rpartition(".")[2] for name in linear_layers(backbone, "all-linear")}
    assert names == ADAPTED[family]

    train = [Example((CHAIN[i:],), float(i), f"id{i}", f"g{i}") for i in range(8)]
    context = FitContext(backbone, Readout("protein", "regression"), 0)
    predictor = method("lora", "epochs=1", "lr=0.01").fit(train, train[:4], context)
    assert set(predictor.choices["adapted"]) == ADAPTED[family]
    assert np.isfinite(answer(predictor, train)).all()


def test_a_model_without_a_layer_for_adapters_says_so(tmp_path: Path) -> None:
    backbone = open_folder(make("mamba", tmp_path))
    with pytest.raises(
        UserError, match=r"target_modules=dt_proj names no layer .* in_proj, x_proj"
    ):
        linear_layers(backbone, "dt_proj")
    for part in backbone.blocks().values():
        part.forward = lambda states, *_, **__: states
    with pytest.raises(UserError, match="method=lora finds no linear layer"):
        linear_layers(backbone, "all-linear")


@pytest.mark.shared
@pytest.mark.parametrize(
    "folder", ["18-mamba/mamba", "18-mamba/mamba2", "19-t5-encoder-saved/prostt5"]
)
def test_public_reports(folder: str) -> None:
    backbone = open_folder(CASES / folder)
    assert backbone.abilities == ABLE["mamba" if "mamba" in folder else "t5_encoder"]
    assert linear_layers(backbone, "all-linear")

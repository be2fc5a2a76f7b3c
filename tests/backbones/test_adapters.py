"""LoRA adapters: merged into their model as peft does, and part of the digest."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.core import UserError
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import make
from tests.command_line import run_cli

CHAINS = ["MKTAYIAKQRQISFVKSHFSRQW", "ACDEFGH"]
KINDS: dict[str, tuple[str, str, Mapping[str, Any]]] = {
    "of the base": ("esm2", "AutoModel", {"target_modules": ["query", "value"]}),
    "with its head": ("esm2", "AutoModelForMaskedLM", {"target_modules": ["query", "dense"]}),
    "of a classifier": (
        "esm2",
        "AutoModelForSequenceClassification",
        {"target_modules": ["key"], "task_type": "SEQ_CLS", "use_rslora": True},
    ),
    "by magnitude": ("esm2", "AutoModel", {"target_modules": ["query"], "use_dora": True}),
    "of unequal ranks": (
        "esm2",
        "AutoModel",
        {"target_modules": ["query", "key"], "rank_pattern": {"query": 1}},
    ),
    "of a causal model": (
        "gpt2",
        "AutoModelForCausalLM",
        {"target_modules": ["c_attn"], "fan_in_fan_out": True},
    ),
}


def tune(base: Path, folder: Path, auto: str, settings: Mapping[str, Any]) -> Any:
    """Save an adapter with random weights; give peft's own model with it."""
    import transformers
    from peft import LoraConfig, get_peft_model

    model = getattr(transformers, auto).from_pretrained(base)
    config = LoraConfig(r=3, lora_alpha=7, init_lora_weights=False, **settings)
    tuned = get_peft_model(model, config)
    tuned.save_pretrained(folder)
    return tuned.eval()


def reference(tuned: Any, ids: list[int]) -> np.ndarray[Any, Any]:
    with torch.inference_mode():
        output = tuned(torch.tensor([ids]), output_hidden_states=True)
    rows: np.ndarray[Any, Any] = output.hidden_states[-1][0].numpy()
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_is_merged_as_peft_computes_it(kind: str, tmp_path: Path) -> None:
    family, auto, settings = KINDS[kind]
    base = make(family, tmp_path / "base")
    torch.manual_seed(1)
    tuned = tune(base, tmp_path / "adapter", auto, settings)
    plain, adapted = open_folder(base), open_folder(base, adapter=str(tmp_path / "adapter"))

    assert plain.digest != adapted.digest
    for chain in CHAINS:
        rows = reference(tuned, adapted.alphabet.encode(chain))[1:-1]
        np.testing.assert_allclose(adapted.embed_residues([chain])[0], rows, atol=1e-5)
        assert np.abs(plain.embed_residues([chain])[0] - rows).max() > 0.01
    assert adapted.abilities == plain.abilities


def test_content_of_an_adapter_is_in_the_digest_and_its_place_is_not(tmp_path: Path) -> None:
    base, first, second = make("esm2", tmp_path / "base"), tmp_path / "a", tmp_path / "b"
    tune(base, first, "AutoModel", {"target_modules": ["query"]})
    shutil.copytree(first, second)
    digest = open_folder(base, adapter=str(first)).digest
    assert open_folder(base, adapter=str(second)).digest == digest

    config = json.loads((second / "adapter_config.json").read_text())
    (second / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 8}))
    assert open_folder(base, adapter=str(second)).digest != digest
    weights = {k: v * 2 for k, v in load_file(first / "adapter_model.safetensors").items()}
    save_file(weights, first / "adapter_model.safetensors")
    assert open_folder(base, adapter=str(first)).digest != digest


@pytest.mark.parametrize("form", ["peft before 0.6", "peft today"])
def test_adapters_beside_the_weights_are_merged_if_their_scaling_is_known(
    form: str, tmp_path: Path
) -> None:
    """A state dict of an injected model, saved whole."""
    folder = make("esm2", tmp_path / "model")
    torch.manual_seed(2)
    tuned = tune(folder, tmp_path / "adapter", "AutoModelForMaskedLM", {"target_modules": ["key"]})
    state = {k: v.contiguous() for k, v in tuned.base_model.model.state_dict().items()}
    state = {k: v for k, v in state.items() if "decoder.weight" not in k}
    if form == "peft before 0.6":
        state = {name.replace(".base_layer.", "."): value for name, value in state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(UserError, match=r"holds adapters among its weights .*lora_A.* scaling"):
        open_folder(folder)
    shutil.copy(tmp_path / "adapter" / "adapter_config.json", folder)
    backbone = open_folder(folder)
    rows = reference(tuned, backbone.alphabet.encode(CHAINS[0]))[1:-1]
    np.testing.assert_allclose(backbone.embed_residues(CHAINS)[0], rows, atol=1e-5)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 1}))
    assert open_folder(folder).digest != backbone.digest, "the scaling is in the digest"


def test_an_adapter_beside_its_model_is_asked_for(tmp_path: Path) -> None:
    """Transformers would put it on the model without a word."""
    folder = make("esm2", tmp_path / "model")
    tuned = tune(folder, folder, "AutoModelForMaskedLM", {"target_modules": ["query"]})

    with pytest.raises(UserError, match=r"holds a model and an adapter; give model\.adapter="):
        open_folder(folder)
    backbone = open_folder(folder, adapter=str(folder))
    rows = reference(tuned, backbone.alphabet.encode(CHAINS[0]))[1:-1]
    np.testing.assert_allclose(backbone.embed_residues(CHAINS)[0], rows, atol=1e-5)


def test_the_adapter_that_lora_saves_is_opened(tmp_path: Path, esm_folder: Path) -> None:
    """What `method=lora` trained and saved, on the model that it was trained on."""
    from peft import LoraConfig

    from benchmark.core import Readout
    from benchmark.methods.finetune.lora import Adapter, linear_layers

    backbone = open_folder(esm_folder)
    targets = list(linear_layers(backbone, "all-linear"))
    config = LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    adapter = Adapter(backbone, Readout("protein", "regression"), False, config)
    with adapter.attached():
        rows = backbone.embed_residues(CHAINS)
        adapter.save(tmp_path / "adapter")
    opened = open_folder(esm_folder, adapter=str(tmp_path / "adapter"))
    for row, expected in zip(opened.embed_residues(CHAINS), rows, strict=True):
        np.testing.assert_allclose(row, expected, atol=1e-5)


@pytest.mark.slow
def test_a_run_with_an_adapter_is_a_row_of_its_own(tmp_path: Path) -> None:
    tune(make("esm2", tmp_path / "ck"), tmp_path / "ad", "AutoModel", {"target_modules": ["key"]})
    words = ["task=pocket_solubility", "model=huggingface", "model.path=ck", "limit=30"]
    done = run_cli(*words, "model.adapter=ad", "results=r", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert run_cli(*words, "results=r", cwd=tmp_path).returncode == 0
    found = {file.parts[-4]: file for file in (tmp_path / "r").rglob("seed0.json")}
    assert set(found) == {"ck", "ck+ad"}
    assert len({file.parent.name for file in found.values()}) == 2, "the keys differ"

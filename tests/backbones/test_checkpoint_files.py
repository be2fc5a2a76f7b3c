"""Files of weights: what frameworks add to them is read, and nothing is dropped in silence."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmark.backbones.leftovers import refuse_quantised
from benchmark.core import UserError
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import FAMILIES, make
from tests.conftest import SHARED

CASES = SHARED / "cases"
CHAINS = ["MKTAYIAKQRQISFVKSHFSRQW", "ACDEFGH"]
State = dict[str, Tensor]


def prefixed(prefix: str) -> Callable[[State], Any]:
    return lambda state: {prefix + name: value for name, value in state.items()}


def regional(state: State) -> State:
    """torch.compile of the blocks alone."""
    return {name.replace(".0.", ".0._orig_mod."): value for name, value in state.items()}


def lightning(state: State) -> Any:
    inner = prefixed("model.")(state)
    return {"state_dict": inner, "epoch": 3, "optimizer_states": [{"state": {}}], "hparams": {}}


WRAPPED: dict[str, tuple[str, Callable[[State], Any]]] = {
    "DataParallel": ("model.safetensors", prefixed("module.")),
    "torch.compile": ("model.safetensors", prefixed("_orig_mod.")),
    "compiled, then parallel": ("model.safetensors", prefixed("module._orig_mod.")),
    "compiled blocks": ("model.safetensors", regional),
    "a module's attribute": ("pytorch_model.bin", prefixed("model.")),
    "another attribute": ("pytorch_model.bin", prefixed("net.")),
    "state_dict": ("pytorch_model.bin", lambda state: {"state_dict": state, "epoch": 1}),
    "model_state_dict": ("pytorch_model.bin", lambda state: {"model_state_dict": state}),
    "DeepSpeed": ("pytorch_model.bin", lambda s: {"module": prefixed("module.")(s), "step": 7}),
    "Lightning": ("last.ckpt", lightning),
}


@pytest.mark.parametrize("family", ["esm2", "gpt2", "llama", "prott5"])
def test_what_frameworks_add_is_read(family: str, tmp_path: Path) -> None:
    """Also where the architecture's own names begin with `model.`, as Llama's do."""
    whole = open_folder(make(family, tmp_path / "whole"))
    state = load_file(tmp_path / "whole" / "model.safetensors")
    for name, (file, wrap) in WRAPPED.items():
        folder = shutil.copytree(tmp_path / "whole", tmp_path / name)
        (folder / "model.safetensors").unlink()
        if file.endswith(".safetensors"):
            save_file(wrap(state), folder / file, metadata={"format": "pt"})
        else:
            torch.save(wrap(state), folder / file)
        backbone = open_folder(folder)
        assert backbone.abilities == whole.abilities, name
        for row, other in zip(
            backbone.embed_residues(CHAINS), whole.embed_residues(CHAINS), strict=True
        ):
            np.testing.assert_array_equal(row, other, err_msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_names_what_it_does_not_use(family: str, tmp_path: Path) -> None:
    """Heads of other tasks, masks and positions that old versions of transformers saved."""
    folder = make(family, tmp_path)
    before = open_folder(folder)
    known = {"antiberty": ["cls.species_prediction.weight"]}.get(family, [])
    own = [n for n in before.unused if not n.startswith("decoder.") and "inv_freq" not in n]
    assert own == known
    assert bool(before.unused) == (family in ("antiberty", "prott5", "esm2"))
    file = next(iter([*folder.glob("*.safetensors"), *folder.glob("*.bin")]))
    state = load_file(file) if file.suffix == ".safetensors" else torch.load(file)
    state = {name: value.clone() for name, value in state.items()}
    state |= {"classifier.weight": torch.zeros(2, 16), "embeddings.position_ids": torch.arange(9)}
    file.unlink()
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    after = open_folder(folder)
    assert {"classifier.weight", "embeddings.position_ids"} <= set(after.unused)
    assert set(after.unused) >= set(before.unused)
    assert after.facts()["unused_weights"] == after.unused
    np.testing.assert_array_equal(after.embed_proteins(CHAINS), before.embed_proteins(CHAINS))

    state |= {"side_network.weight": torch.zeros(2, 16)}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"1 weights that would be ignored \(side_network.weight\)"):
        open_folder(folder)


def test_python_objects_are_not_unpickled(esm_folder: Path, tmp_path: Path) -> None:
    folder, proof = shutil.copytree(esm_folder, tmp_path / "copy"), tmp_path / "was executed"

    class Payload:
        def __reduce__(self) -> Any:
            return Path.touch, (proof,)

    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "last.ckpt"):
        torch.save({"state_dict": state, "hyper_parameters": Payload()}, folder / name)
        with pytest.raises(UserError, match=r"holds Python objects .* is not opened; save the"):
            open_folder(folder)
        (folder / name).unlink()
    assert not proof.exists()


def test_the_same_weights_in_two_formats(esm_folder: Path, tmp_path: Path) -> None:
    """As in most repositories of the hub; a stale one of the two is refused."""
    folder = shutil.copytree(esm_folder, tmp_path / "copy")
    digest = open_folder(folder).digest
    state = load_file(folder / "model.safetensors")
    torch.save({k: v.half() for k, v in state.items()}, folder / "pytorch_model.bin")
    assert open_folder(folder).digest == digest
    (folder / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert open_folder(folder).digest == digest, "a pointer that is not needed"

    name = "esm.encoder.layer.1.output.dense.weight"
    torch.save({**state, name: state[name] + 1}, folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=rf"two sets of weights, and {name} differs between"):
        open_folder(folder)


def test_a_file_of_torch_before_1_6(esm_folder: Path, tmp_path: Path) -> None:
    """Not a zip archive, so it cannot be mapped into memory."""
    folder = shutil.copytree(esm_folder, tmp_path / "copy")
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    rows = open_folder(folder).embed_proteins(CHAINS)
    np.testing.assert_array_equal(rows, open_folder(esm_folder).embed_proteins(CHAINS))


def test_more_layers_than_the_configuration_says(esm_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(esm_folder, tmp_path / "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 1}))
    with pytest.raises(UserError, match=r"config.json says 1 layers and the weights have 2"):
        open_folder(folder)
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 24}))
    with pytest.raises(UserError, match=r"in another size .*: \(32,\) instead of \(24,\)"):
        open_folder(folder)


@pytest.mark.shared
def test_public_reports(tmp_path: Path) -> None:
    """Each gives its right value, or a refusal that names the cause."""
    for folder, words in {
        "01-lora-beside/lora_beside": r"holds adapters among its weights .*lora_A.*scaling",
        "03-fewer-layers/fewer_layers": "config.json says 2 layers and the weights have 4",
        "15-stale-weights/stale_beside_shards": "holds two sets of weights, model.safetensors and",
        "25-unclear-refusals/no_tok": "holds no tokenizer .*copy its files",
        "25-unclear-refusals/lfs": "Git LFS pointer.*git lfs pull",
        "26-missing-features/saprot": "pairs of a residue and a structural state .* SaProt",
        "26-missing-features/fair": "esm2_t4_mine.pt is of another format",
        "26-missing-features/fair/esm2_t4_mine.pt": "is a file; give a folder .*fair-esm",
    }.items():
        with pytest.raises(UserError, match=words):
            open_folder(CASES / folder)
    lora = shutil.copytree(CASES / "01-lora-beside" / "lora_beside", tmp_path / "lora")
    rank = load_file(lora / "model.safetensors")[
        "esm.encoder.layer.0.attention.self.query.lora_A.default.weight"
    ].shape[0]
    scaling = {"peft_type": "LORA", "r": rank, "lora_alpha": rank}
    (lora / "adapter_config.json").write_text(json.dumps(scaling))
    base = CASES / "21-equals-in-path" / "base"
    for folder, same in (
        (lora, CASES / "01-lora-beside" / "lora_merged"),
        (CASES / "25-unclear-refusals" / "orig_mod", base),
        (CASES / "ok-benign-surplus" / "benign_surplus", base),
    ):
        rows, right = (open_folder(f).embed_proteins(CHAINS) for f in (folder, same))
        np.testing.assert_allclose(rows, right, atol=1e-5)
    unused = open_folder(CASES / "ok-benign-surplus" / "benign_surplus").unused
    assert unused == ["embeddings.position_embeddings.weight", "embeddings.position_ids"]


def test_a_scale_of_the_model_itself_is_no_quantisation() -> None:
    refuse_quantised(None, {"logit_scale": "F32", "layer.0.weight": "F32"})
    for name in ("layer.0.weight_scale", "layer.0.weight_scale_inv", "layer.0.scales"):
        with pytest.raises(UserError, match=f"is quantised: it holds .*{name.rpartition('.')[2]}"):
            refuse_quantised(None, {name: "F32", "layer.0.weight": "F8_E4M3"})


def test_code_in_another_folder_is_part_of_the_weights(
    esm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed code is another model, also where the checkpoint's own files are unchanged."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(sys, "path", sys.path[:])
    folder = Path(shutil.copytree(esm_folder, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())

    def digest_with(factor: str) -> str:
        (tmp_path / "code").mkdir(exist_ok=True)
        (tmp_path / "code" / "factor.py").write_text(f"FACTOR = {factor}\n")
        (tmp_path / "code" / "mine.py").write_text(
            "from transformers import EsmForMaskedLM\nfrom .factor import FACTOR\n"
            "class Mine(EsmForMaskedLM):\n    def embed(self, x):\n        return FACTOR * x\n"
        )
        names = dict.fromkeys(("AutoModel", "AutoModelForMaskedLM"), f"{tmp_path}/code--mine.Mine")
        (folder / "config.json").write_text(json.dumps({**config, "auto_map": names}))
        opened = open_folder(folder, trust_remote_code=True)
        assert type(opened.language_model).__name__ == "Mine"
        return opened.digest

    first = digest_with("1.0")
    assert digest_with("1.0") == first
    assert digest_with("0.1") != first

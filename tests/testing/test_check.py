"""`check` passes every backbone that there is, and fails those that break a promise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.huggingface import HuggingFace
from benchmark.backbones.transformer import Transformer
from benchmark.core import ContactHead
from benchmark.testing.backbone import findings
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import FAMILIES, make
from tests.command_line import run_cli as benchmark
from tests.conftest import SHARED, distinct_models, make_backbone


def broken_promises(backbone: Any, folder: Path) -> set[str]:
    found = findings(backbone, lambda dtype: open_folder(folder, dtype=dtype))
    return {finding.promise for finding in found if not finding.kept}


@pytest.mark.parametrize("name", distinct_models())
def test_every_backbone_keeps_its_promises(name: str, esm_folder: Path) -> None:
    found = list(
        findings(
            make_backbone(name, esm_folder),
            lambda dtype: make_backbone(name, esm_folder, f"dtype={dtype}"),
        )
    )

    assert len(found) >= 3
    assert not [finding for finding in found if not finding.kept]


@pytest.mark.parametrize("layer", [0, 1, -2])
def test_promises_are_of_the_layer_that_is_asked_for(layer: int, esm_folder: Path) -> None:
    assert not broken_promises(open_folder(esm_folder, layer=layer), esm_folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_keeps_its_promises(family: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path / family)
    backbone = open_folder(folder)

    assert not broken_promises(backbone, folder)
    objective = {"prott5": None, "gpt2": "causal", "llama": "causal"}.get(family, "masked")
    assert backbone.objective == objective
    assert isinstance(backbone, ContactHead) == (family in ("esm2", "esm1b", "esm1v"))


MEAN = "proteins: mean of residues, no special token"


class Padded(HuggingFace):
    """Pools over padding, too."""

    def embed_proteins(self, chains: Sequence[str]) -> Any:
        ids, mask = self.ids(chains)
        return self.module(ids, mask).last_hidden_state.mean(dim=1).detach().numpy()


class Shifted(HuggingFace):
    """Rows begin at the start token."""

    def embed_residues(self, chains: Sequence[str]) -> Any:
        states = [state.detach().float().numpy() for state in self.states(chains)]
        return [row[: len(chain)] for row, chain in zip(states, chains, strict=True)]


class Unmasked(HuggingFace):
    """Attends to padding."""

    def ids(self, chains: Sequence[str]) -> Any:
        ids, mask = super().ids(chains)
        return ids, torch.ones_like(mask)


class Penultimate(HuggingFace):
    """Takes the last layer but one for the last."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.layers -= 1


class Frozen(HuggingFace):
    """No gradient reaches the first layer."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        module: Any = self.module
        module.encoder.layer[0].register_forward_hook(lambda _, __, output: output.detach())


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (
            Padded,
            {"proteins: alone and in a batch", "proteins: mean of residues, no special token"},
        ),
        (Shifted, {"residues: row i moves with residue i"}),
        (Unmasked, {"masked log-probabilities: alone and in a batch"}),
        (Penultimate, {"layers: hidden states"}),
        (Frozen, {"gradients: layers that they reach"}),
    ],
)
def test_a_broken_promise_is_found(
    kind: type[Transformer], broken: set[str], esm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.backbones.test_backbones.HuggingFace", kind)
    backbone = open_folder(esm_folder)

    assert broken <= broken_promises(backbone, esm_folder)


def test_a_causal_model_that_sees_what_comes_is_found(esm_folder: Path) -> None:
    """A masked model asked as if it were causal."""
    backbone: Any = open_folder(esm_folder)
    backbone.causal_log_probs = backbone._causal_log_probs
    backbone.log_likelihoods = backbone._log_likelihoods

    broken = broken_promises(backbone, esm_folder)
    assert "causal log-probabilities: blind to what comes" in broken


def test_the_verb_tells_and_its_status_too(tmp_path: Path, esm_folder: Path) -> None:
    done = benchmark("check", "model=esm2_8m", f"model.path={esm_folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "residues: alone and in a batch" in done.stdout
    assert "NOT KEPT" not in done.stdout and "promises are kept" in done.stdout

    typo = benchmark("check", "model=esm2_8", cwd=tmp_path)
    assert typo.returncode == 1 and "did you mean esm2_8m" in typo.stderr
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "noisy.yaml").write_text("_target_: noisy.Noisy\n")
    (tmp_path / "noisy.py").write_text(
        "import numpy as np\nfrom benchmark.core import Backbone\n"
        "class Noisy(Backbone):\n"
        "    digest = 'noisy'\n    protein_dim = 3\n"
        "    def embed_proteins(self, chains):\n"
        "        return np.random.rand(len(chains), 3).astype('float32')\n"
    )
    failed = benchmark("check", "--config-dir", "conf", "model=noisy", cwd=tmp_path)
    assert failed.returncode == 1 and not failed.stderr
    assert "NOT KEPT" in failed.stdout


@pytest.mark.slow
@pytest.mark.shared
def test_real_checkpoints_keep_their_promises() -> None:
    for folder in ("esm2_t6_8M_encoder", "sapiens_vh_roberta"):
        path = SHARED / "models" / folder
        assert not broken_promises(open_folder(path), path)
    assert np.isfinite(open_folder(path).embed_proteins(["ACDE"])).all()

"""`check` passes every backbone in the catalogue, and fails those that are broken."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.huggingface import HuggingFace
from benchmark.backbones.transformer import Transformer
from benchmark.core import Backbone
from benchmark.testing.backbone import findings
from tests.backbones.test_backbones import open_folder
from tests.checkpoints import FAMILIES, make
from tests.command_line import run_cli as benchmark
from tests.conftest import SHARED, architectures, make_backbone, marked_slow


def failures(backbone: Any, folder: Path) -> set[str]:
    found = findings(backbone, lambda dtype: open_folder(folder, dtype=dtype))
    return {finding.check for finding in found if not finding.passed}


@pytest.mark.parametrize("name", marked_slow([n for n in architectures() if n != "none"], "random"))
def test_every_architecture_passes(name: str, esm_folder: Path) -> None:
    found = list(
        findings(
            make_backbone(name, esm_folder),
            lambda dtype: make_backbone(name, esm_folder, f"dtype={dtype}"),
        )
    )

    assert len(found) >= 3
    assert not [finding for finding in found if not finding.passed]


@pytest.mark.parametrize("layer", [0, 1, -2])
def test_every_layer_passes(layer: int, esm_folder: Path) -> None:
    assert not failures(open_folder(esm_folder, layer=layer), esm_folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes(family: str, tmp_path: Path) -> None:
    folder = make(family, tmp_path / family)
    backbone = open_folder(folder)

    assert not failures(backbone, folder)
    objective = {"prott5": None, "gpt2": "causal", "llama": "causal"}.get(family, "masked")
    assert backbone.objective == objective
    assert ("contact_head" in backbone.abilities) == (family in ("esm2", "esm1b", "esm1v"))


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
        (Shifted, {"residues: row i changes with residue i"}),
        (Unmasked, {"masked log-probabilities: alone and in a batch"}),
        (Penultimate, {"layers: hidden states"}),
        (Frozen, {"gradients: layers", "adapters: tensors with a gradient"}),
    ],
)
def test_a_broken_model_fails(
    kind: type[Transformer], broken: set[str], esm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.backbones.test_backbones.HuggingFace", kind)
    backbone = open_folder(esm_folder)

    assert broken <= failures(backbone, esm_folder)


class Constant(Backbone):
    """Its vectors are all one vector."""

    digest = "constant"
    residue_dim = protein_dim = 3
    row = np.zeros(3, np.float32)

    def embed_residues(self, chains: Sequence[str]) -> Any:
        return [np.tile(self.row, (len(chain), 1)) for chain in chains]

    def embed_proteins(self, chains: Sequence[str]) -> Any:
        return np.tile(self.row, (len(chains), 1))


class Ones(Constant):
    """Not zero, but constant."""

    row = np.ones(3, np.float32)


class NotANumber(Constant):
    """NaN everywhere."""

    row = np.full(3, np.nan, np.float32)


class TooFew(Constant):
    """A row is missing."""

    def embed_residues(self, chains: Sequence[str]) -> Any:
        return super().embed_residues(chains)[1:]

    def embed_proteins(self, chains: Sequence[str]) -> Any:
        return super().embed_proteins(chains)[1:]


class Lists(Constant):
    """Lists of numbers instead of arrays."""

    def embed_residues(self, chains: Sequence[str]) -> Any:
        return [rows.tolist() for rows in super().embed_residues(chains)]

    def embed_proteins(self, chains: Sequence[str]) -> Any:
        return super().embed_proteins(chains).tolist()


class Nothing(Constant):
    """Forgets to return."""

    def embed_residues(self, chains: Sequence[str]) -> Any:
        return None

    def embed_proteins(self, chains: Sequence[str]) -> Any:
        return None


FORM, DIFFER = ": float32 arrays of the right shape", ": vectors differ"


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Constant, DIFFER),
        (Ones, DIFFER),
        (NotANumber, ": finite"),
        (TooFew, FORM),
        (Lists, FORM),
        (Nothing, ": runs"),
    ],
)
def test_wrong_vectors_fail_without_a_traceback(kind: type[Backbone], check: str) -> None:
    found = findings(kind(), lambda dtype: kind())  # type: ignore[abstract]
    failed = {finding.check for finding in found if not finding.passed}

    assert {f"residues{check}", f"proteins{check}"} <= failed


class Bidirectional(HuggingFace):
    """A masked model that claims to be causal."""

    @property
    def abilities(self) -> Any:
        return super().abilities | {"causal_log_probs"}


def test_a_causal_model_that_sees_following_residues_fails(
    esm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.backbones.test_backbones.HuggingFace", Bidirectional)
    failed = failures(open_folder(esm_folder), esm_folder)
    assert "causal log-probabilities: independent of following residues" in failed


def test_nothing_is_printed_before_a_model_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = benchmark("check", "model=huggingface", "model.path=empty", cwd=tmp_path)
    assert done.returncode == 2 and "holds no weights" in done.stderr
    assert not done.stdout


def test_weights_without_a_use_are_shown(tmp_path: Path) -> None:
    folder = make("antiberty", tmp_path)
    found = {
        finding.check: finding
        for finding in findings(open_folder(folder), lambda _: open_folder(folder))
    }
    assert found["weights without a use"].found == "cls.species_prediction.weight"


@pytest.mark.slow
def test_the_command_reports_and_its_exit_status_too(tmp_path: Path, esm_folder: Path) -> None:
    done = benchmark("check", "model=esm2_8m", f"model.path={esm_folder}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "residues: alone and in a batch" in done.stdout
    assert "FAIL" not in done.stdout and "model adapter check: " in done.stdout

    typo = benchmark("check", "model=esm2_8", cwd=tmp_path)
    assert typo.returncode == 2 and "did you mean esm2_8m" in typo.stderr
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
    assert "FAIL" in failed.stdout


@pytest.mark.slow
@pytest.mark.shared
def test_real_checkpoints_pass() -> None:
    for folder in ("esm2_t6_8M_encoder", "sapiens_vh_roberta"):
        path = SHARED / "models" / folder
        assert not failures(open_folder(path), path)
    assert np.isfinite(open_folder(path).embed_proteins(["ACDE"])).all()

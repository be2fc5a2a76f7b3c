"""The gate on real runs: a damaged checkpoint, another seed, few proteins."""

from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.pocket import FOLDER
from tests.command_line import Completed, run_cli

pytestmark = pytest.mark.slow
RUN = ("task=pocket_ss8", "method=mlp", "method.epochs=10", "device=cpu", "store=store")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest masked model, `sound`, and a copy with noise in its second layer."""
    folder = tmp_path_factory.mktemp("gate")
    for name in ("sound", "damaged"):
        copytree(FOLDER / "checkpoints" / "mlm_s", folder / name)
    file = folder / "damaged" / "model.safetensors"
    weights = load_file(file)
    torch.manual_seed(0)
    layer = {k: w for k, w in weights.items() if ".1." in k and w.ndim == 2}
    assert layer
    noisy = {k: w + 4 * w.float().std() * torch.randn(w.shape) for k, w in layer.items()}
    changed = {k: w.to(weights[k].dtype).contiguous() for k, w in noisy.items()}
    save_file({**weights, **changed}, file, metadata={"format": "pt"})
    return folder


def run(folder: Path, model: str, results: str, *words: str) -> None:
    model_words = ("model=huggingface", f"model.path={model}", f"results={results}")
    done = run_cli(*RUN, *model_words, *words, cwd=folder)
    assert done.returncode == 0, done.stderr


def gate(folder: Path, candidate: str, baseline: str) -> Completed:
    return run_cli("gate", candidate, f"baseline={baseline}", cwd=folder)


def test_a_damaged_checkpoint_fails_and_another_seed_does_not(folder: Path) -> None:
    run(folder, "sound", "golden", "seed=0")
    run(folder, "sound", "other", "seed=1")
    run(folder, "damaged", "bad", "seed=0")

    done = gate(folder, "bad", "golden")
    assert done.returncode == 1, done.stdout
    same = gate(folder, "other", "golden")
    assert same.returncode in (0, 3), same.stdout
    if same.returncode == 3:
        assert "needed for a power of 80 %" in same.stdout or "below the margin" in same.stdout


def test_an_equal_checkpoint_on_few_proteins_is_not_decided(folder: Path) -> None:
    run(folder, "sound", "few0", "seed=0", "limit=40")
    run(folder, "sound", "few1", "seed=1", "limit=40")

    done = gate(folder, "few1", "few0")
    assert done.returncode == 3, done.stdout
    assert "needed for a power of 80 %" in done.stdout

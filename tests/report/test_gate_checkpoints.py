"""The gate on real runs: a damaged checkpoint, another seed, few proteins."""

from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.pocket import FOLDER
from tests.command_line import Completed, run_cli

pytestmark = pytest.mark.slow
SS8 = ("task=pocket_ss8", "method=mlp", "method.epochs=10")
METAL = ("task=pocket_metal", "method=linear", "limit=40")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest masked model, and copies with noise in the weights of its second layer.

    The noise of `damaged` is four times the weights' standard deviation, that of `similar` a half.
    """
    folder = tmp_path_factory.mktemp("gate")
    for name, noise in (("sound", 0.0), ("similar", 0.5), ("damaged", 4.0)):
        file = Path(copytree(FOLDER / "checkpoints" / "mlm_s", folder / name), "model.safetensors")
        weights = load_file(file)
        torch.manual_seed(0)
        layer = {k: w.float() for k, w in weights.items() if ".1." in k and w.ndim == 2}
        assert layer
        for key, w in layer.items():
            noisy = w + noise * w.std() * torch.randn(w.shape)
            weights[key] = noisy.to(weights[key].dtype).contiguous()
        save_file(weights, file, metadata={"format": "pt"})
    return folder


def run(folder: Path, model: str, results: str, *words: str) -> None:
    model_words = ("model=huggingface", f"model.path={model}", f"results={results}")
    done = run_cli(*words, *model_words, "device=cpu", "store=store", cwd=folder)
    assert done.returncode == 0, done.stderr


def gate(folder: Path, candidate: str, baseline: str) -> Completed:
    return run_cli("gate", candidate, f"baseline={baseline}", cwd=folder)


def test_an_equal_checkpoint_on_few_proteins_is_not_decided(folder: Path) -> None:
    run(folder, "sound", "few", *METAL)
    run(folder, "similar", "few_similar", *METAL)

    done = gate(folder, "few_similar", "few")
    assert done.returncode == 3, done.stdout
    assert "needed for a power of 80 %" in done.stdout


def test_a_damaged_checkpoint_fails_and_another_seed_does_not(folder: Path) -> None:
    run(folder, "sound", "golden", *SS8, "seed=0")
    run(folder, "damaged", "bad", *SS8, "seed=0")
    assert gate(folder, "bad", "golden").returncode == 1

    run(folder, "sound", "other", *SS8, "seed=1")
    done = gate(folder, "other", "golden")
    reasons = ("needed for a power of 80 %", "below the margin", "of the classes changed")
    assert done.returncode == 0 or any(reason in done.stdout for reason in reasons)
    assert done.returncode in (0, 3), done.stdout

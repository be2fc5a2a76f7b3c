"""What is killed goes on, and ends with the same bits."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones.transformer import Transformer
from benchmark.core import FitContext, UserError
from benchmark.methods.finetune import checkpoints
from benchmark.methods.finetune.trainer import Trainer
from tests.conftest import ROOT
from tests.learning import LEVELS, REAL, StopError, answer, examples, method

WORDS = ["method=lora", "method.save_minutes=0", "method.epochs=25", "method.lora_dropout=0.1"]
WORDS += ["method.head_dropout=0.1", "store=off", "device=cpu"]


def run(cwd: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "benchmark", *words]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


COSTS = ("forward_flops", "backward_flops", "tokens", "trained_parameters")


def finished(folder: Path) -> tuple[dict[str, Any], bytes, Path]:
    (path,) = folder.glob("toy/*/lora/*/seed0.json")
    record = json.loads(path.read_text())
    learned = path.with_suffix("")
    return record, (learned / "adapter_model.safetensors").read_bytes(), learned


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_as_one_that_was_not(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    """Kill -9 in the middle; then its Record is deleted, and it is not trained again."""
    words = ["--config-dir", str(toy_conf), "task=toy", "model=huggingface", *WORDS]
    words += [f"model.path={esm_folder}"]
    whole = run(tmp_path, *words, "results=whole")
    killed = run(tmp_path, *words, "results=killed")
    states: list[Path] = []
    while killed.poll() is None and not states:
        states = list((tmp_path / "killed").rglob("state.pt"))
        time.sleep(0.02)
    time.sleep(0.3)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert whole.wait(120) == 0, whole.communicate()[1]
    state = torch.load(states[0], weights_only=True)
    assert 0 < state["epoch"] * 5 + state["step"] < 125, "it was killed in the middle"
    left = {path.name.partition(".")[0] for path in states[0].parent.iterdir()}
    assert left <= {"state", ""} and not list((tmp_path / "killed").rglob("*.json"))

    resumed = run(tmp_path, *words, "results=killed")
    assert resumed.wait(120) == 0, resumed.communicate()[1]
    (one, weights, _), (other, same, learned) = (
        finished(tmp_path / name) for name in ("whole", "killed")
    )
    for key in ("key", "scores", "intervals", "choices"):
        assert one[key] == other[key]
    assert weights == same
    assert not list(learned.glob("*state*"))

    (record,) = (tmp_path / "killed").glob("toy/*/lora/*/seed0.json")
    record.unlink()
    written = (learned / "fit.json").stat().st_mtime_ns
    again = run(tmp_path, *words, "results=killed")
    assert again.wait(120) == 0, again.communicate()[1]
    third = finished(tmp_path / "killed")[0]
    assert (third["scores"], third["choices"]) == (one["scores"], one["choices"])
    usages = [record["usage"] for record in (one, other, third)]
    costs = [[cost[name] for name in COSTS] for cost in usages]
    assert costs[0] == costs[1] == costs[2] and all(costs[0])
    assert (learned / "fit.json").stat().st_mtime_ns == written
    for process in (whole, killed, resumed, again):
        assert process.stdout and process.stderr
        process.stdout.close()
        process.stderr.close()


def test_a_state_from_any_step_gives_the_same_bits(
    esm: Transformer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Stopped before each step in turn, and at each epoch's end, with all weights trained."""
    train, test = examples("residue", 12), examples("residue", 5, 1)
    readout = LEVELS["residue"][0]
    learner = method(
        "finetune", "epochs=2", "batch.residue=4", "head_dropout=0.1", "save_minutes=0"
    )
    whole = learner.fit(train, test, FitContext(esm, readout, 0))
    gradients, valid_loss = Trainer.gradients, Trainer.valid_loss
    for stop in range(1, 9):
        left = iter(range(stop))

        def count(work: Callable[..., Any], left: Iterator[int] = left) -> Callable[..., Any]:
            def counted(*given: Any) -> Any:
                if next(left, None) is None:
                    raise StopError
                return work(*given)

            return counted

        folder = tmp_path / str(stop)
        with monkeypatch.context() as patched:
            patched.setattr(Trainer, "gradients", count(gradients))
            patched.setattr(Trainer, "valid_loss", count(valid_loss))
            if stop < 8:
                with pytest.raises(StopError):
                    learner.fit(train, test, FitContext(esm, readout, 0, folder))
        resumed = learner.fit(train, test, FitContext(esm, readout, 0, folder))
        assert resumed.choices == whole.choices
        for a, b in zip(answer(resumed, test), answer(whole, test), strict=True):
            assert np.array_equal(a, b)
    said = capsys.readouterr().err
    assert said.count("resumed the training in epoch ") == 7, "all but the one that was not stopped"


def test_a_damaged_state_is_one_sentence(esm: Transformer, tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK")
    train = examples("protein real", 16)
    with pytest.raises(UserError, match="is damaged; delete it to start the training"):
        method("mlp").fit(train, train, FitContext(esm, REAL, 0, tmp_path))


def test_a_state_of_another_format_is_not_gone_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoints, "FORMAT", 99)
    checkpoints.save_state(tmp_path, {"epoch": 1})
    assert checkpoints.load_state(tmp_path) == {"format": 99, "epoch": 1}
    monkeypatch.undo()

    assert checkpoints.load_state(tmp_path) is None
    assert "has format 99, not 1; the training starts from" in capsys.readouterr().err

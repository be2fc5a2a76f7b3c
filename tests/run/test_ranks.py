"""Two processes produce the Record of one."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.distributed import map_sharded
from tests.command_line import environment, run_cli
from tests.conftest import random_chain


def test_one_process_does_all_the_work() -> None:
    assert list(map_sharded(lambda part: [x * x for x in part], range(7), 3)) == [
        0, 1, 4, 9, 16, 25, 36,
    ]  # fmt: skip


TRAINED = ["method=lora", "method.epochs=2", "method.lr=0.01", "method.save_minutes=0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        ["task=pocket_metal"],
        ["task=pocket_ss8"],
        ["task=pseudo_perplexity"],
        ["task=pocket_ss8", *TRAINED],
    ],
    ids=str,
)
def test_two_processes_give_the_scores_of_one(
    tmp_path: Path, esm_folder: Path, asked: list[str]
) -> None:
    """Each process embeds or trains on its share; rank 0 alone writes. gloo on CPUs."""
    chains = (random_chain(np.random.default_rng(seed), 20 + seed) for seed in range(12))
    (tmp_path / "proteins.fasta").write_text("".join(f">P\n{chain}\n" for chain in chains))
    words = [*asked, "model=huggingface", f"model.path={esm_folder}", "limit=40"]
    words += ["store=off", "device=cpu"]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    records, summaries = [], []
    for name in ("two", "one"):
        command = [*words, f"results={tmp_path / name}"]
        if name == "two":
            done = subprocess.run(
                [*launch, "-m", "benchmark", *command],
                cwd=tmp_path,
                env=environment(OMP_NUM_THREADS="1"),
                capture_output=True,
                text=True,
            )
        else:
            done = run_cli(*command, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        (path,) = (tmp_path / name).rglob("seed0.json")
        records.append(json.loads(path.read_text()))
        summaries.append(done.stdout.splitlines()[0])

    assert summaries[0] == summaries[1] != ""
    assert records[0]["key"] == records[1]["key"]
    passed = [(record["usage"]["chains"], record["usage"]["tokens"]) for record in records]
    assert passed[0] == passed[1] > (0, 0), "usage sums over processes"
    for metric, score in records[1]["scores"]["test"].items():
        assert records[0]["scores"]["test"][metric] == pytest.approx(score, abs=1e-3)
    for loss in ("train_loss", "valid_loss"):
        if loss in records[0]["choices"] and "method=lora" in asked:
            two, one = (np.array(record["choices"][loss]) for record in records)
            np.testing.assert_allclose(two, one, rtol=1e-5)

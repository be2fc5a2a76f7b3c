"""Two processes produce the Record of one."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate

from benchmark.distributed import map_sharded
from benchmark.metrics import find
from benchmark.run.evaluation import evaluate, subset
from tests.command_line import environment, run_cli
from tests.conftest import composed, make_backbone, make_task, random_chain


def test_one_process_does_all_the_work() -> None:
    assert list(map_sharded(lambda part: [x * x for x in part], range(7), 3)) == [
        0, 1, 4, 9, 16, 25, 36,
    ]  # fmt: skip


TRAINED = ["method=lora", "method.epochs=2", "method.lr=0.01", "method.save_minutes=0"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [
        ["task=pocket_metal"],
        ["task=pocket_ss8"],
        ["task=pseudo_perplexity", "task.bands_against=proteins.fasta"],
        ["task=pocket_ss8", *TRAINED],
        ["task=pocket_contact", "method=attention", "method.chains=4"],
    ],
    ids=str,
)
def test_two_processes_give_the_scores_of_one(
    tmp_path: Path, esm_folder: Path, given: list[str]
) -> None:
    """Each process embeds or trains on its share; rank 0 alone writes. gloo on CPUs."""
    chains = (random_chain(np.random.default_rng(seed), 20 + seed) for seed in range(12))
    (tmp_path / "proteins.fasta").write_text("".join(f">P\n{chain}\n" for chain in chains))
    words = [*given, "model=huggingface", f"model.path={esm_folder}", "limit=40"]
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
        if loss in records[0]["choices"] and "method=lora" in given:
            two, one = (np.array(record["choices"][loss]) for record in records)
            np.testing.assert_allclose(two, one, rtol=1e-5)


IN_TWO = """
import sys
from pathlib import Path
import numpy as np
import torch
from benchmark import distributed
from benchmark.core import UserError
from benchmark.methods.finetune.trainer import check_replicas

mine = distributed.rank()
distributed.BUCKET = 40
rows = [np.full((mine + 2, 3), mine, np.float32), "text", np.arange(mine, dtype=np.int8), None]
for part, found in enumerate(distributed.all_gather(rows)):
    assert found[0].dtype == np.float32 and found[0].shape == (part + 2, 3)
    assert (found[0] == part).all() and found[1] == "text" and found[3] is None
    assert found[2].tolist() == list(range(part)) and found[2].dtype == np.int8
assert distributed.broadcast(mine + 5) == 5
tensors = [torch.full((size,), float(mine + 1)) for size in (3, 9, 4, 30, 1)]
assert [sum(map(len, b)) for b in distributed.buckets(tensors)] == [3, 9, 4, 30, 1]
distributed.all_reduce([*tensors, torch.ones(())])
assert all((tensor == 3).all() for tensor in tensors)
pairs = lambda part: [np.array([x, x], np.float32) for x in part]
found = list(distributed.map_sharded(pairs, range(7), 4))
assert np.array_equal(found, [[x, x] for x in range(7)])
weights = {"a": torch.ones(3), "b": torch.ones((), dtype=torch.bfloat16)}
check_replicas(weights, "at the start")
weights["a"][2] += 1e-7 * mine
try:
    check_replicas(weights, "at the end")
except UserError as error:
    print(error)
distributed.leave()
names = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
assert not [name for name in names if "gloo" in name], names
sys.exit(2)
"""


@pytest.mark.slow
def test_arrays_sums_and_replicas_of_two_processes(tmp_path: Path) -> None:
    """Arrays of any shape and dtype arrive unchanged; a process with other weights is named."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    place |= {"LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", IN_TWO],
            cwd=tmp_path,
            env=environment(RANK=str(at), LOCAL_RANK=str(at), **place),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for at in range(2)
    ]  # fmt: skip
    ended = [process.communicate(timeout=120) for process in processes]
    for process, (out, err) in zip(processes, ended, strict=True):
        assert process.returncode == 2, err
        assert out.startswith("process 1 has other weights than process 0 at the end of the train")


@pytest.mark.slow
def test_only_the_first_process_fits_and_scores(
    esm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other ones embed the same chains in the same order."""
    seen: dict[int, list[str]] = {}
    for number in (0, 1):
        backbone = make_backbone("huggingface", esm_folder)
        chains = seen.setdefault(number, [])

        def sharded(work: Any, items: Any, _: int, chains: list[str] = chains) -> Any:
            chains += items
            return work(items)

        monkeypatch.setenv("RANK", str(number))
        monkeypatch.setattr("benchmark.embedding.extraction.map_sharded", sharded)
        if number:
            for place in ("probe.linear.ridge", "probe.linear.logistic", "probe.linear.predict"):
                monkeypatch.setattr(f"benchmark.methods.{place}", None)
            monkeypatch.setattr("benchmark.run.evaluation.score", None)
        for name in ("pocket_solubility", "pocket_ss8", "pocket_contact"):
            task = make_task(name)
            splits = subset(task.load(), 12)
            method = instantiate(composed().method, _convert_="all")
            metrics = [find(metric) for metric in task.metrics]
            outcome = evaluate(task, splits, backbone, method, metrics, 0)
            assert bool(outcome.tests) == (number == 0)
    assert seen[0] == seen[1] != []

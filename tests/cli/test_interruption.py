"""Interrupted runs and exhausted resources leave no partial files."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.command_line import environment, refused, run_cli

INTERRUPTED = 130, -signal.SIGINT
"""If the signal comes while Python runs code of a string, as imports of dataclasses do, it ends by
SIGINT after our exit; a shell reports 130 for both."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_leaves_nothing(tmp_path: Path, kind: signal.Signals) -> None:
    """Interrupted while a probe is fitted: no Record and no scratch file is left."""
    command = [sys.executable, "-m", "benchmark", "task=pocket_contact", "model=onehot"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(TMPDIR=str(tmp_path)),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, kind, signal.SIG_DFL),  # background jobs ignore SIGINT
    ) as process:
        while process.poll() is None and not list(tmp_path.glob("benchmark-*")):
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(kind)
        _, errors = process.communicate(timeout=60)

    assert process.returncode in INTERRUPTED, errors
    assert errors.strip().splitlines()[-1].startswith("error: interrupted; finished runs are saved")
    assert not list(tmp_path.rglob("*"))


@pytest.mark.slow
def test_interrupted_between_seeds_writes_tables_of_finished_seeds(
    tmp_path: Path, toy_conf: Path
) -> None:
    seeds = ",".join(map(str, range(1000)))
    words = ["--config-dir", str(toy_conf), "task=toy", "model=kmer", f"seeds={seeds}"]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmark", *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and not list(tmp_path.rglob("seed1.json")):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode in INTERRUPTED
    count = len(list(tmp_path.rglob("seed*.json")))
    assert f"], {count} seeds |" in (tmp_path / "results" / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "words"),
    [
        (3000, ["model=kmer"]),  # of the predictions
        (4400, ["model=kmer"]),  # of the Record, which is larger
        (3000, ["model=pocket_mlm_s", "method=lora", "method.epochs=1", "limit=12"]),
    ],
)
def test_a_full_disk_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, toy_conf: Path, size: int, words: list[str]
) -> None:
    """Files may not grow past `size` bytes: of predictions, the Record, or a training's state."""
    code = (
        "import resource, runpy, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"
        "runpy.run_module('benchmark', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--config-dir", str(toy_conf), "task=toy", *words],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 2
    assert "the disk is full" in refused(done) and "File too large" in refused(done)
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]


def test_no_memory_is_one_sentence(tmp_path: Path, toy_conf: Path) -> None:
    (tmp_path / "full.py").write_text(
        "from benchmark.core import Backbone\n"
        "class Full(Backbone):\n"
        "    digest = 'full'\n"
        "    def __init__(self):\n"
        "        raise MemoryError\n"
    )
    (toy_conf / "model").mkdir()
    (toy_conf / "model" / "full.yaml").write_text("_target_: full.Full\n")
    done = run_cli("--config-dir", str(toy_conf), "task=toy", "model=full", cwd=tmp_path)

    assert "out of memory; cut all chains with task.max_length" in refused(done)

"""What one job of a command leaves to the next, and to the terminal."""

import json
import os
from pathlib import Path

import pytest

from tests.command_line import run_cli

LARGE = 300_000_000
"""Bytes."""
MODEL = f"""
import logging, sys
import numpy as np
from benchmark.core import Backbone

class Sized(Backbone):
    protein_dim = 1
    stored = False

    def __init__(self, size):
        self.digest_ = f"sized {{size}}"
        logging.getLogger("some_library").info("JAX version 0.9 available.")
        logging.getLogger("some_library").warning("slow path")
        np.ones(size * {LARGE}, np.int8)  # freed at once

    @property
    def digest(self):
        return self.digest_

    def embed_proteins(self, chains):
        return np.array([[len(chain)] for chain in chains], np.float32)
"""


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="peaks cannot be reset on this system"
)
@pytest.mark.slow
def test_peak_memory_and_library_messages_of_each_job(tmp_path: Path, toy_conf: Path) -> None:
    (tmp_path / "sized.py").write_text(MODEL)
    (toy_conf / "model").mkdir()
    (toy_conf / "model" / "sized.yaml").write_text("_target_: sized.Sized\nsize: ???\n")
    words = ["--config-dir", str(toy_conf), "-m", "task=toy", "model=sized", "model.size=1,0"]
    done = run_cli(*words, "results=results", cwd=tmp_path)
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/toy/*/*/*/*.json")]
    peaks = {r["config"]["model"]["size"]: r["usage"]["peak_bytes"] for r in records}

    assert done.returncode == 0, done.stderr
    assert peaks[0] < peaks[1] - LARGE / 2, "the second job is not charged with the first one's"
    assert "JAX" not in done.stdout + done.stderr
    assert "slow path" not in done.stdout, "a table that is piped to a file holds no warning"

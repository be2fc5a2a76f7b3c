"""Time of the metrics of generation on 2,000 chains against 20,000, without a judge's passes.

    pytest -s tests/performance/test_generation.py

Seconds and CPU seconds of each part; MMseqs2's own processes count.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import metrics
from benchmark.core import RESIDUES, Example
from benchmark.data.reference import open_reference
from benchmark.stats.bootstrap import score
from tests.conftest import make_task
from tests.performance.table import Table

CHAINS, REFERENCES, DIMENSIONS = 2_000, 20_000, 320
SECONDS = 300
"""Most CPU time of all cores together."""
rng = np.random.default_rng(0)


class Drawn:
    """A judge of random numbers, in the width of a small model."""

    def likelihoods(self, chains: list[str]) -> Any:
        return rng.normal(-2.5, 0.3, len(chains)), np.array([*map(len, chains)])

    def embeddings(self, chains: list[str]) -> Any:
        return rng.normal(size=(len(chains), DIMENSIONS))

    def structure(self, chains: list[str]) -> Any:
        return rng.dirichlet([3, 2, 4], len(chains))


def mutated(chain: str, share: float) -> str:
    """Substitute this share of the residues."""
    new = rng.choice(list(RESIDUES), len(chain))
    return "".join(np.where(rng.random(len(chain)) < share, new, list(chain)))


def test_metrics_of_generation(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the chains are shuffled natural ones, half have 0 to 80 % of substitutions."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    natural = open_reference("package:natural.fasta.gz").draw(REFERENCES, 2000, 0)
    every = natural + [mutated(chain, 0.15) for chain in natural]
    assert len(every) >= REFERENCES
    file = tmp_path / "reference.fasta"
    file.write_text("".join(f">{at}\n{chain}\n" for at, chain in enumerate(every[:REFERENCES])))
    short = [chain for chain in natural if len(chain) <= 500][:CHAINS]
    made = [
        mutated(c, rng.uniform(0, 0.8)) if at % 2 else "".join(rng.permutation([*c]))
        for at, c in enumerate(short)
    ]
    assert len(made) == CHAINS
    total = 0.0

    @contextmanager
    def clock(part: str) -> Iterator[None]:
        nonlocal total
        before, started = os.times(), time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        cpu = sum(os.times()[:4]) - sum(before[:4])
        total += cpu
        table.add(f"generation: {part}, {cpu:.1f} s of CPU", seconds, amount=CHAINS, unit="chains")

    given: Any = {"reference": str(file), "num": CHAINS}
    task: Any = replace(make_task("generation"), **given)
    with clock("index of the reference"):
        assert task.database
    with clock("natural proteins drawn"):
        labels = task.database.draw(CHAINS, 500, 0)
    rows = [Example(("",), np.asarray(c), str(at), str(at)) for at, c in enumerate(labels)]
    pairs = zip(made, rows, strict=True)
    sampled = [task.compact((chain, -9.0, True), row) for chain, row in pairs]
    predictions = task.measure(sampled, rows, Drawn(), clock)
    families = {metrics.find(name).fn.__module__.rpartition(".")[2] for name in task.metrics}
    for family in sorted(families):
        mine = [m for m in map(metrics.find, task.metrics) if m.fn.__module__.endswith(family)]
        with clock(f"scores and intervals of {family}"):
            score(mine, predictions, rows, task.readout, 0)
    assert total < SECONDS

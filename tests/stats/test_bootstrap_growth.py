"""The work of the bootstrap grows with the number of units, counted in random draws."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.stats.bootstrap import RESAMPLES
from tests.command_line import run_cli
from tests.conftest import random_chain

DRAWN: Counter[str] = Counter()
ROWS = 40
"""Test rows of a fold, each a unit of its own but the last."""


class CountingGenerator(np.random.Generator):
    """Counts the numbers that it draws."""

    def integers(self, *given: Any, **named: Any) -> Any:
        drawn = super().integers(*given, **named)
        DRAWN["numbers"] += np.size(drawn)
        return drawn

    def multinomial(self, *given: Any, **named: Any) -> Any:
        drawn = super().multinomial(*given, **named)
        DRAWN["numbers"] += np.size(drawn)
        return drawn


def draws(folder: Path, folds: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Numbers drawn in a cross-validated run whose folds all share one unit."""
    rng = np.random.default_rng(0)
    rows = ["seq,label,fold,family"]
    for fold in range(folds):
        for row in range(ROWS):
            chain = random_chain(rng, 20)
            family = "shared" if row == 0 else f"{fold}-{row}"
            rows.append(f"{chain},{int(chain.count('W') > 0)},{fold},{family}")
    (folder / "task").mkdir(parents=True)
    (folder / "table.csv").write_text("\n".join(rows))
    (folder / "task" / "folds.yaml").write_text(
        "defaults: [/source@_here_: table, _self_]\n"
        "_target_: tasks.protein.Protein\n"
        "area: function\nversion: 1\nkind: classification\nsize: 2\n"
        f"source: file:{folder / 'table.csv'}\n"
        "columns: {fold: fold, group: family}\n"
        "unit: {name: family}\n"
        "metrics: [accuracy]\n"
    )
    DRAWN.clear()
    with monkeypatch.context() as patched:
        patched.setattr(np.random, "default_rng", counting)
        words = ["--config-dir", str(folder), "task=folds", "model=kmer", "method.penalties=[100]"]
        done = run_cli(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return DRAWN["numbers"]


DEFAULT_RNG = np.random.default_rng


def counting(seed: Any = None) -> np.random.Generator:
    return CountingGenerator(DEFAULT_RNG(seed).bit_generator)


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="the mean over sets draws all units for every set")
def test_draws_grow_with_units_though_test_sets_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice the folds need about twice the draws: the mean over folds draws each unit once."""
    few, many = (draws(tmp_path / str(folds), folds, monkeypatch) for folds in (4, 8))

    assert few >= RESAMPLES * 4
    assert many < 2.5 * few

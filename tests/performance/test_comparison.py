"""Time to compare 30 models on 18 tasks of 2,000 examples: 435 pairs each. Not part of CI.

pytest -s tests/performance/test_comparison.py
"""

import time
from pathlib import Path

import numpy as np
import pytest

from benchmark.report import selection
from benchmark.report.comparison import compare
from benchmark.report.selection import select
from tests.report import test_comparison

MODELS, TASKS, EXAMPLES, SECONDS = 30, 18, 2000, 30


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
def test_pairs_of_many_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str) -> None:
    """From the files of predictions to corrected p-values, in CPU time."""
    monkeypatch.setattr(selection, "FOLDERS", ())
    monkeypatch.setattr(test_comparison, "N", EXAMPLES)
    names = [f"model{number}" for number in range(MODELS)]
    for task in range(TASKS):
        for model in names:
            test_comparison.make(tmp_path, model, task=f"task{task}", primary=metric)
    start = time.process_time()
    lines, _ = compare(select(names, tmp_path))
    seconds = time.process_time() - start
    print(f"\n{len(lines):,} differences of {metric}: {seconds:.1f} s of CPU time")
    assert len(lines) == TASKS * MODELS * (MODELS - 1) / 2
    assert np.isfinite([line.holm for line in lines]).all()
    assert seconds < SECONDS

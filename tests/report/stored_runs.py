"""Records with stored predictions, made from values per example."""

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.core import Array
from benchmark.results.record import Record
from benchmark.results.storage import save
from tests.report.test_leaderboard import record


def save_run(
    results: Path,
    values: Array,
    task: str = "cloning",
    model: str = "a",
    metric: str = "accuracy",
    **more: Any,
) -> Record:
    """Save a run whose score is the mean of `values`; for accuracy, they are 1 for right classes.

    Every example is a resampling unit of its own.
    """
    better = metric != "perplexity"
    score = float(values.mean()) if better else float(np.exp(values.mean()))
    n = len(values)
    settings = {
        "primary": metric,
        "higher_is_better": {metric: better},
        "scores": {"test": {metric: score}},
        "intervals": {"test": {metric: (score - 0.01, score + 0.01)}},
        "scored": {"test": n},
        "units": {"test": n},
        "config": {"task": {"metrics": [metric], "kind": "classification"}},
        "backbone": {"digest": f"weights of {model}", "parameters": 1_000_000},
    }
    found = record(task, model, **{**settings, **more})
    columns = {
        "test": ["test"] * n,
        "id": [f"{task}{k}" for k in range(n)],
        "group": [f"{task}{k}" for k in range(n)],
        f"value.{metric}": values.astype(float).tolist(),
    }
    if metric == "accuracy":
        columns |= {"label": [1] * n, "prediction": values.astype(float).tolist()}
    save(found, columns, results)
    return found

"""Time and memory of intervals at the size of ProteinGym. Not part of CI.

    pytest -s tests/performance/test_bootstrap.py

217 assays with 2.4 million variants, many of them in several assays, each a resampling unit.
"""

import resource
import time

import numpy as np

from benchmark.core import Example, Readout
from benchmark.metrics import find
from benchmark.stats.bootstrap import mean, score

ASSAYS, VARIANTS = 217, 2_400_000
SECONDS, BYTES = 120, 2e9


def test_mean_of_spearman_over_assays_that_share_variants() -> None:
    rng = np.random.default_rng(0)
    shares = rng.lognormal(0, 1, ASSAYS)
    sizes = np.maximum(60, shares / shares.sum() * VARIANTS).astype(int)
    names = [f"variant {i}" for i in range(2 * sizes.max())]
    metrics, readout, tests = [find("spearman")], Readout("variant", "regression"), {}
    seconds = 0.0
    for assay, size in enumerate(sizes):
        labels = rng.normal(size=size)
        groups = [names[i] for i in rng.choice(len(names), size, replace=False)]
        rows = [Example(("A",), y, "", g) for y, g in zip(labels, groups, strict=True)]
        predictions = list(labels + rng.normal(size=size))
        start = time.process_time()
        tests[str(assay)] = score(metrics, predictions, rows, readout, 0)
        seconds += time.process_time() - start
    start = time.process_time()
    together = mean(metrics, tests, dict.fromkeys(tests, 1 / ASSAYS))
    seconds += time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"\n{sizes.sum():,} rows, {together.units:,} units: {seconds:.0f} s, {peak / 1e9:.2f} GB")
    assert "spearman" in together.intervals
    assert seconds < SECONDS and peak < BYTES

"""Every case still gives its golden results: scores and predictions nearly, counts exactly.

With GOLDEN_STRICT=1 they agree to 1e-6, as they do on one machine; otherwise to 1e-4. Where a
change is meant, `python -m tests.golden.make CASE ...` writes the results of the cases again.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmark import metrics
from tests.conftest import yaml_names
from tests.golden.cases import CASES, Numbers, Predictions, run_case
from tests.golden.make import load
from tests.golden.tables import prepare

TOLERANCE = 1e-6 if os.environ.get("GOLDEN_STRICT") == "1" else 1e-4
GOLDEN, PREDICTIONS = load()
SHOWN = 20
"""Differences of a case that are told one by one."""


def number_differences(old: Numbers, new: Numbers) -> list[str]:
    told = [f"{name}: old {old[name]!r}, new: none" for name in old if name not in new]
    told += [f"{name}: old: none, new {new[name]!r}" for name in new if name not in old]
    for name in old.keys() & new.keys():
        before, after = old[name], new[name]
        allowed = 0 if isinstance(before, int) else TOLERANCE * (1 + abs(before))
        if not abs(after - before) <= allowed:
            told.append(f"{name}: old {before!r}, new {after!r}")
    return sorted(told)


def prediction_differences(old: Predictions, new: Predictions) -> list[str]:
    told = [f"row {row}: was there, is no more" for row in old if row not in new]
    told += [f"row {row}: is new" for row in new if row not in old]
    for row in old.keys() & new.keys():
        before, after = old[row], new[row]
        if before.shape != after.shape:
            told.append(f"row {row}: old {before.size} numbers, new {after.size}")
            continue
        near = np.isclose(after, before, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        if not near.all():
            at = int(np.argmin(near))
            told.append(
                f"row {row}: {np.sum(~near)} of {near.size} numbers; number {at}: "
                f"old {before[at]!s}, new {after[at]!s}"
            )
    return sorted(told)


@pytest.fixture(scope="session")
def golden_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    prepare(folder)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_case_gives_its_golden_results(name: str, golden_folder: Path) -> None:
    assert name in GOLDEN, f"{name} has no golden results; python -m tests.golden.make {name!r}"
    numbers, predictions = run_case(name, golden_folder)
    found = number_differences(GOLDEN[name]["numbers"], numbers)
    found += prediction_differences(PREDICTIONS[name], predictions)
    if found:
        more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        told = "\n  ".join([*found[:SHOWN], *more])
        pytest.fail(f"case {name!r}, {len(found)} differences:\n  {told}", pytrace=False)


def test_every_metric_and_method_has_a_case() -> None:
    scored = {
        name.rsplit("/", 1)[1]
        for case in GOLDEN.values()
        for name in case["numbers"]
        if name.split("/")[1] == "scores"
    }

    assert scored == set(metrics.known())
    assert {name.split()[2] for name in CASES} == set(yaml_names("method"))
    assert set(GOLDEN) == set(CASES)

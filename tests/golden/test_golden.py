"""Every case still gives its golden results: scores and predictions nearly, counts exactly.

A result that moves fails until a declared version is raised, and a raised version fails until
`python -m tests.golden.make CASE ...` has written the results of its cases again.
"""

from pathlib import Path

import pytest

from benchmark import metrics
from tests.checkpoints import FAMILIES
from tests.conftest import marked_slow, yaml_names
from tests.golden.cases import CASES, run_case
from tests.golden.make import (
    load,
    number_differences,
    prediction_differences,
    refuse_moved,
)
from tests.golden.tables import prepare

GOLDEN, PREDICTIONS = load()
SHOWN = 20
"""Differences of a case that are printed one by one."""


@pytest.fixture(scope="session")
def golden_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    prepare(folder)
    return folder


SLOW = (
    *("near none nearest", "contacts none nearest", "near kmer linear audit"),  # they search
    *("generation none natural", "generation none shuffled"),
    *("generation progen2 sample reject", "generation mlm sample"),
    "generation esm2 sample confidence",
    *(f"binary {family} linear" for family in FAMILIES if family not in ("esm2", "gpt2")),
)
"""Cases that CI runs; everyday ones have the same method, or the same kind of answers."""


@pytest.mark.parametrize("name", marked_slow(CASES, *SLOW))
def test_case_gives_its_golden_results(name: str, golden_folder: Path) -> None:
    assert name in GOLDEN, f"{name} has no golden results; python -m tests.golden.make {name!r}"
    versions, numbers, predictions = run_case(name, golden_folder)
    assert versions == GOLDEN[name]["versions"], (
        f"a declared version has changed; python -m tests.golden.make {name!r} and commit the row"
    )
    found = number_differences(GOLDEN[name]["numbers"], numbers)
    found += prediction_differences(PREDICTIONS[name], predictions)
    if found:
        more = [f"... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        message = "\n  ".join([*found[:SHOWN], *more])
        pytest.fail(f"case {name!r}, {len(found)} differences:\n  {message}", pytrace=False)


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


def test_a_row_of_the_same_versions_is_never_replaced() -> None:
    """Otherwise a moved result could be committed without a raised version."""
    name = next(iter(CASES))
    versions, numbers = GOLDEN[name]["versions"], dict(GOLDEN[name]["numbers"])
    predictions = {row: values.copy() for row, values in PREDICTIONS[name].items()}
    assert not number_differences(GOLDEN[name]["numbers"], numbers)
    assert not prediction_differences(PREDICTIONS[name], predictions)
    numbers[next(key for key in numbers if "/scores/" in key)] += 0.01
    next(iter(predictions.values()))[0] += 0.01
    for moved in (
        number_differences(GOLDEN[name]["numbers"], numbers),
        prediction_differences(PREDICTIONS[name], predictions),
    ):
        with pytest.raises(SystemExit, match="without a raised version"):
            refuse_moved(name, versions, versions, moved)
        refuse_moved(
            name, versions, {**versions, "versions/method": versions["versions/method"] + 1}, moved
        )

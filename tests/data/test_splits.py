"""Splits made here: held-out groups and folds."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.core import Example, UserError
from benchmark.data.splits import hold_out
from tests.data.test_tables import protein, write_csv


def test_a_table_of_folds(tmp_path: Path) -> None:
    """No splits, two chains from two columns, an answer that is not known."""
    rows = [("ACD" + "W" * i, "EFG", i or None, i % 3) for i in range(9)]
    source = write_csv(tmp_path / "a.csv", rows, "heavy,light,value,part")
    columns = {"sequence": ["heavy", "light"], "label": "value", "fold": "part"}
    task = protein(source, "regression", 1, columns=columns, allow={"unknown_labels": 0.2})
    splits = task.load()

    assert {name: len(part) for name, part in splits.tests.items()} == {"0": 3, "1": 3, "2": 3}
    assert splits.aggregates == {"mean": dict.fromkeys("012", pytest.approx(1 / 3))}
    assert splits.tests["0"][1].chains == ("ACDWWW", "EFG")
    train, valid = splits.train_valid_by_test["2"]
    assert [len(e.chains[0]) - 3 for e in train] == [1, 4, 7]
    assert [len(e.chains[0]) - 3 for e in valid] == [0, 3, 6]
    assert np.isnan(valid[0].label) and not splits.train and not splits.valid
    for wrong, message in (
        ([(*row[:3], row[3] % 2) for row in rows], r"2 folds \(0, 1\); cross-validation needs"),
        ([*rows, ("AC", "DE", 1, None)], "has no fold; every row needs one"),
    ):
        source = write_csv(tmp_path / "b.csv", wrong, "heavy,light,value,part")
        with pytest.raises(UserError, match=message):
            protein(source, "regression", 1, columns=columns, allow={"unknown_labels": 0.2}).load()
    with pytest.raises(UserError, match="has no column 'x'; it has heavy, light"):
        protein(source, columns={**columns, "fold": "x"}, allow={"unknown_labels": 1.0}).load()


def test_valid_is_held_out_by_whole_groups() -> None:
    train = [Example(("A",), np.array(0), f"{i}", f"g{i // 3}") for i in range(300)]
    kept, valid = hold_out(train, 0.1)

    assert 27 <= len(valid) <= 33
    assert not {e.group for e in kept} & {e.group for e in valid}
    assert hold_out(train[::-1], 0.1)[1] == [e for e in train[::-1] if e in valid], (
        "the order of the rows does not matter"
    )

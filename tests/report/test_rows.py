"""No row of a table is lost or hides a setting; a column holds only what can be compared."""

from dataclasses import replace
from typing import Any

from benchmark.report.cells import column_of, labels, row_in, tabulate
from benchmark.report.leaderboard import runs_table, task_table
from benchmark.results.record import Record
from tests.report.test_leaderboard import lines, markdown, record

HUGGING_FACE = "benchmark.backbones.huggingface.HuggingFace"


def checkpoint(path: str, digest: str, name: str | None = None, **more: Any) -> Record:
    """A Record of the model `final`, named after its folder or by the user."""
    model = {"_target_": HUGGING_FACE, "path": path}
    config = {"task": {"min": 1}, "model": model, "name": name}
    return record(model=name or "final", config=config, backbone={"digest": digest}, **more)


def names(*records: Record) -> list[str]:
    (rows,) = tabulate(records).values()
    return list(labels(rows).values())


def test_checkpoints_of_one_name_in_two_folders_have_two_rows() -> None:
    one, other = checkpoint("ck/exp1/final", "a"), checkpoint("ck/exp2/final", "b")
    far = checkpoint("/data/exp1/final", "c")

    assert names(one) == ["final"]
    assert names(one, other) == ["exp1/final", "exp2/final"]
    assert names(one, other, far) == ["ck/exp1/final", "ck/exp2/final", "data/exp1/final"]
    table = runs_table(tabulate([one, other]))
    assert {row[3] for row in table.rows} == {"exp1/final", "exp2/final"}, "in the CSV file, too"
    cells = tabulate([one, other])
    assert task_table(cells, other).highlighted == "exp2/final"


def test_a_checkpoint_that_was_overwritten_or_moved_has_one_row() -> None:
    old, new = checkpoint("./ck/final", "a"), checkpoint("ck/final", "b", score=0.6)
    moved = checkpoint("archive/final", "b", seed=1, score=0.8)
    cells = tabulate([old, new, replace(moved, key=new.key)])
    (rows,) = cells.values()
    found = {row.place: [r.seed for r in cell.records] for row, cell in rows.items()}

    assert names(old, new) == ["final"]
    assert found == {"ck/final": [0], "archive/final": [0, 1]}, "seed 1 joins its weights"
    assert row_in(rows, new).place == "archive/final"
    assert row_in(rows, old).place == "ck/final"


def test_a_name_of_the_users_holds_the_newest_weights() -> None:
    one, other = checkpoint("a/final", "a", "mine"), checkpoint("b/final", "b", "mine")

    assert names(one, other) == ["mine"]


def test_settings_that_are_not_the_yamls_are_shown_without_a_neighbour() -> None:
    usual = {"dtype": "float32", "method.tolerance": 1e-5, "method.max_chains": 500}
    changed = {**usual, "method.max_chains": 20, "model.layer": 3}
    settings = {"settings": {**changed, "model.pooling": "mean"}}

    assert names(checkpoint("a/final", "a", settings=usual)) == ["final"]
    assert names(checkpoint("a/final", "a", **settings)) == ["final (max_chains=20, layer=3)"]
    assert names(record(model="x", settings=changed)) == ["x (max_chains=20)"], "of no known model"
    unknown = record(model="x", method="my_method", settings=changed)
    assert names(unknown) == ["x"], "a user's own method has no yaml of ours"


def test_what_cannot_be_compared_shares_no_column() -> None:
    for other in (
        {"version": 2},
        {"data": {"train": "1", "valid": "2", "test": "other"}},
        {"config": {"task": {"min": 2}}},
    ):
        head = lines(record(), record(model="b", **other))[0]
        assert "solubility #1" in head and "solubility #2" in head
    old, new = record(), record(model="b")
    versions, scores = new.identity["versions"], new.identity["versions"]["metrics"]
    for raised, same in (
        ({"task": 2}, False),
        ({"evaluation": 9}, False),
        ({"metrics": {**scores, "roc_auc": 2}}, False),
        ({"metrics": {**scores, "rmse": 2}}, True),  # it does not rank
    ):
        newer = replace(new, identity={**new.identity, "versions": {**versions, **raised}})
        assert (column_of(old) == column_of(newer)) == same, raised
    settings = [{"task": {"assay": assay, "min": 1}} for assay in ("HIC", "Titer")]
    text = markdown(tabulate([record(config=settings[0]), record(model="b", config=settings[1])]))
    assert "`solubility #1`: version 1, test data 3, assay=HIC\n" in text
    text = markdown(tabulate([record(), record(method="lora")]))
    assert "## Developability · linear" in text and "## Developability · lora" in text

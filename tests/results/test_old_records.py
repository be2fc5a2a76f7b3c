"""Records of format 1 stay readable and share columns with Records written today."""

from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest

from benchmark.report.cells import column_of
from benchmark.results.record import FORMAT, Record
from benchmark.results.storage import load, load_all, write_record
from tests.command_line import run_cli
from tests.conftest import marked_slow

OLD = Path(__file__).parent / "format1"
"""One Record of an area and one of a kind of label that have other names today."""
RUNS = {
    "pocket_perplexity": ["model=unigram", "method=zero_shot"],
    "pocket_metal": ["model=onehot", "method=linear"],
}
"""The settings of the old Records, as words of the command line."""


def old_record(task: str) -> Record:
    (path,) = (OLD / task).rglob("seed0.json")
    return load(path)


@pytest.mark.parametrize("task", RUNS)
def test_an_old_record_is_read_in_the_current_format(task: str) -> None:
    record = old_record(task)

    assert record.format == FORMAT
    assert record.area == {"pocket_perplexity": "language_modeling"}.get(task, "interaction")
    assert record.identity["versions"]["evaluation"] == 1


@pytest.mark.parametrize("task", marked_slow(RUNS, "pocket_perplexity"))
def test_an_old_record_is_reproduced_in_the_same_column(task: str, tmp_path: Path) -> None:
    """The same question, and nearly the same score.

    Rows that are too close to the pocket models' corpus have been dropped since, and versions
    raised.
    """
    done = run_cli(f"task={task}", *RUNS[task], "device=cpu", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (new,) = load_all(tmp_path / "results")
    old = old_record(task)
    question = {**new.identity["task"], "version": old.version}
    identity = {**new.identity, "task": question, "versions": old.identity["versions"]}
    same = replace(new, identity=identity, version=old.version, data=old.data)

    assert column_of(same) == column_of(old) != column_of(new)
    for name in old.scores.keys() & new.scores.keys():
        again = {metric: new.scores[name][metric] for metric in old.scores[name]}
        assert again == pytest.approx(old.scores[name], abs=0.05)


def test_old_and_new_records_share_one_table(tmp_path: Path) -> None:
    """A Record of format 1 beside one of today that differs in the model alone.

    Committed Records have a column of their own, since their intervals are of another version.
    """
    results = Path(copytree(OLD, tmp_path / "results"))
    for task in RUNS:
        write_record(replace(old_record(task), model="newer"), folder_of(results, task))
    done = run_cli("leaderboard", cwd=tmp_path)

    assert done.returncode == 0 and not done.stderr, done.stderr
    table = (results / "README.md").read_text()
    assert "## Language modeling" in table and "## Generation" not in table
    apart = [line for line in table.splitlines() if "#2`:" in line]
    assert apart and all("evaluation version=2, " in line for line in apart), apart
    for task in RUNS:
        heading = next(line for line in table.splitlines() if line.startswith(f"| model | {task}"))
        rows = table.split(heading)[1].split("\n\n")[0].splitlines()[2:]
        shown = {row.split(" | ")[0].strip("| ").partition(" (")[0] for row in rows}
        assert {old_record(task).model, "newer"} <= shown, "committed Records may be beside them"


def folder_of(results: Path, task: str) -> Path:
    """The results folder, with the place for a Record of the model `newer` prepared."""
    path = results / replace(old_record(task), model="newer").path
    path.parent.mkdir(parents=True)
    return results

"""The quick verbs, in this process."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark.cli.main import main
from benchmark.results.storage import save
from tests.conftest import ROOT
from tests.report.test_leaderboard import record


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a verb and return its standard output; its error, if it is to be refused."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str, refused: bool = False) -> str:
        monkeypatch.setattr(sys, "argv", ["benchmark", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert bool(ended.value.code) == refused, err
        return err if refused else out

    return run


def test_list_fits_the_terminal_and_names_everything(shown: Any) -> None:
    text = shown("list")

    assert all(len(line) <= 80 for line in text.splitlines())
    for group in ("task", "model", "method", "suite"):
        assert all(file.stem in text for file in (ROOT / "conf" / group).glob("*.yaml"))
    assert "fold            protein, 1,195 classes          accuracy  12,312    736  3,244" in text


def test_list_of_one_group(shown: Any) -> None:
    (table,) = json.loads(shown("list", "models", "format=json"))["tables"]
    rows = {row[0]: row[1:] for row in table["rows"]}

    assert rows["esm2_8m"] == [7496320, "ESM-2 8M, masked", "facebook/esm2_t6_8M_UR50D"]
    assert rows["onehot"][1].startswith("Baseline: ")
    assert "| accuracy | higher is better |" in shown("list", "metrics", "format=markdown")
    assert shown("list", "tasks", "format=csv").splitlines()[0].startswith("table,task=,answers,")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.yaml is empty"),
        ("- 1\n", "bad.yaml is not a mapping"),
        ("version: 1\n", "bad.yaml has no _target_, area, metrics; a task needs"),
        ("defaults: [fald]\n", "unknown task 'fald'; did you mean fold"),
    ],
)
def test_a_users_broken_yaml_is_one_sentence(
    shown: Any, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "bad.yaml").write_text(text)

    error = shown("list", "--config-dir", str(tmp_path), refused=True)
    assert message in error and error.count("\n") == 1


def test_leaderboard_and_why_in_several_formats(shown: Any, tmp_path: Path) -> None:
    runs = [record(), record(model="b", settings={"dtype": "float32", "model.layer": 3})]
    for run in runs:
        save(run, {"id": ["a"]}, tmp_path)
    results = f"results={tmp_path}"

    (table,) = json.loads(shown("leaderboard", results, "format=json"))["tables"]
    assert [row[0] for row in table["rows"]] == ["a", "b"]
    assert table["rows"][0][1]["score"] == 0.5
    assert r"\toprule" in shown("leaderboard", results, "format=latex", "by=method")
    keys = [run.key for run in runs]
    found = json.loads(shown("why", *keys, results, "format=json"))
    assert found["title"] in ("different runs: the keys differ", "the same run: equal keys")

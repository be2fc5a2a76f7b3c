"""The quick verbs, in this process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmark import __version__
from benchmark.cli.main import main
from benchmark.cli.verbs import VERBS
from benchmark.results.storage import save
from tests.command_line import environment, refused, run_cli, run_process
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


def test_check_fits_the_terminal(shown: Any) -> None:
    text = shown("check", "onehot")

    assert max(map(len, text.splitlines())) <= 80
    assert text.split("\n", 1)[0].split() == ["check", "found", "allowed", "result"]
    assert text.count("  pass\n") > 5 and text.rstrip().endswith(" pass") and "FAIL" not in text


def test_list_of_one_group(shown: Any) -> None:
    (table,) = json.loads(shown("list", "models", "format=json"))["tables"]
    rows = {row[0]: row[1:] for row in table["rows"]}

    assert rows["esm2_8m"] == [7496320, "ESM-2 8M, masked", "facebook/esm2_t6_8M_UR50D"]
    assert rows["onehot"][1].startswith("Baseline: ")
    assert "| accuracy | higher is better |" in shown("list", "metrics", "format=markdown")
    assert shown("list", "tasks", "format=csv").splitlines()[0].startswith("table,task=,answers,")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_every_verb_has_help(shown: Any, verb: str, word: str) -> None:
    text = shown(verb, word)

    assert text.startswith(f"python -m benchmark {verb} ")
    assert all(f"  {key}=" in text for key in VERBS[verb].takes)
    assert max(map(len, text.splitlines())) <= 80


def test_version_is_ours(shown: Any) -> None:
    assert shown("--version") == f"plm-benchmark {__version__}\n"


def test_the_folder_of_yamls_may_stand_anywhere(shown: Any, toy_conf: Path) -> None:
    folder = str(toy_conf)
    for words in (
        ("--config-dir", folder, "list", "tasks"),
        ("list", f"--config-dir={folder}", "tasks"),
        ("list", "tasks", "--config-dir", folder),
    ):
        assert "\ntoy  " in shown(*words)


def test_a_default_is_named(shown: Any) -> None:
    error = shown("audit", "results=/proc/none", refused=True)

    assert error.splitlines()[0] == "task=pocket_ss8 (the default)"


@pytest.mark.parametrize("name", ["tasks", "conf"])
def test_packages_that_hide_ours_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    done = run_process("list", cwd=tmp_path)

    assert f"hides the package {name!r} of the benchmark; use the program plm" in refused(done)
    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`python -m benchmark list | head -1`."""
    command = [sys.executable, "-m", "benchmark", "list"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""


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


def test_tables_are_shown_where_they_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save(record(), {"id": ["a"]}, tmp_path)
    (tmp_path / "README.md" / "x").mkdir(parents=True)
    monkeypatch.setattr(sys, "argv", ["benchmark", "leaderboard", f"results={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code == 0 and "solubility" in out
    assert err.startswith(f"the tables cannot be written to {tmp_path} (")

    words = ("compare", "onehot", "kmer", "task=pocket_metal", f"figures={tmp_path / 'a'}")
    (tmp_path / "a").write_text("no folder")
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert ended.value.code == 2 and "pocket_metal " in out and err.count("\n") == 1
    assert err.startswith(f"error: cannot write to figures={tmp_path / 'a'} (")


def test_a_folder_of_results_is_not_searched(shown: Any, tmp_path: Path) -> None:
    """Records count at their place alone: a file one level above or below is not looked for."""
    path = save(record(), {"id": ["a"]}, tmp_path / "below" / "results")
    assert "there are no Records" in shown("leaderboard", f"results={tmp_path}", refused=True)
    save(record(limit=8), {"id": ["a"]}, tmp_path / "x")
    assert "have limit=" in shown("leaderboard", f"results={tmp_path / 'x'}", refused=True)
    assert "no Record in" in shown("why", str(tmp_path), str(path), refused=True)
    assert "the same run" in shown("why", str(path.parents[4]), str(path))


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


def test_the_committed_tables_are_shown_before_the_first_run(tmp_path: Path) -> None:
    done = run_cli("leaderboard", "task=pocket_metal", cwd=tmp_path)
    assert done.returncode == 0 and "these are the committed results" in done.stderr
    assert "onehot (baseline)" in done.stdout and "pocket_location" not in done.stdout
    assert not list(tmp_path.iterdir())

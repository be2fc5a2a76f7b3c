"""The documentation pages: their recipes run, their commands compose, their links resolve."""

import json
import re
import shlex
import tomllib
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmark.cli.catalogue import check_names, config_folders
from benchmark.cli.compose import compose
from benchmark.cli.main import with_seeds
from benchmark.cli.verbs import VERBS, spelled_out
from tests.command_line import run_cli
from tests.conftest import ROOT, random_chain

PAGES = [
    ROOT / name
    for name in (
        "README.md",
        "CHANGELOG.md",
        "tasks/README.md",
        "conf/README.md",
        "benchmark/README.md",
        "benchmark/pocket/README.md",
    )
]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
WHOLE = "\n".join(TEXTS.values())
RECIPES = dict(re.findall(r"<!-- recipe: (\S+) -->\n```\w+\n(.*?)```", WHOLE, re.DOTALL))
PROGRAM = r"(?:-m benchmark|(?<!\S)plm-benchmark)(?= |$)"
"""How a command line calls this program; `-m benchmark.pocket.make...` is another one."""


def commands() -> list[str]:
    """Arguments of every call in a shell block or in inline code, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", WHOLE, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    prose = re.sub(r"```.*?```", "", WHOLE, flags=re.DOTALL)
    lines += [text.replace("\n", " ") for text in re.findall(r"`([^`]+)`", prose)]
    parts = [part for line in lines for part in re.sub(r"\s#.*", "", line).split(" && ")]
    calls = [re.split(PROGRAM, part, maxsplit=1)[1] for part in parts if re.search(PROGRAM, part)]
    return list(dict.fromkeys(call.strip() for call in calls))


@pytest.fixture
def own(tmp_path: Path, esm_folder: Path) -> Path:
    """A user's folder: the recipes, a table in two formats, a checkpoint."""
    for name, text in RECIPES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rng = np.random.default_rng(0)
    rows, entries = ["seq,label,split"], list[str]()
    for split, count in (("train", 60), ("valid", 20), ("test", 30)):
        for _ in range(count):
            chain = random_chain(rng, int(rng.integers(20, 60)))
            label = f"{len(chain) + rng.normal():.3f}"
            rows.append(f"{chain},{label},{split}")
            known = f"SET={split.replace('valid', 'train')} VALIDATION={split == 'valid'}"
            entries.append(f">P1 {known} TARGET={label} FAMILY={rng.integers(40)}\n{chain}")
    (tmp_path / "mine.csv").write_text("\n".join(rows))
    (tmp_path / "mine.fasta").write_text("\n".join(entries))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step-1000").symlink_to(esm_folder)
    return tmp_path


@pytest.mark.parametrize("command", commands())
def test_command_line_composes(command: str, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names and settings of every command on the pages exist."""
    monkeypatch.chdir(own)
    words = shlex.split(command)
    if "--help" in words:
        return
    if words and words[0] in VERBS:
        verb, words = VERBS[words[0]], spelled_out(words[0], words[1:])
        keys = {word.partition("=")[0].partition(".")[0] for word in words}
        assert keys <= {*verb.takes, "config_dir"}
        check_names(words)
        if composed := [word for word in words if re.match(r"(task|model)[.=]", word)]:
            compose(composed, config_folders(words)[1:])
        return
    check_names(words)
    folders = config_folders(words)[1:]
    if "--config-dir" in words:
        at = words.index("--config-dir")
        del words[at : at + 2]
    if "-m" in words:
        choices = [
            [f"{key}={value}" for value in values.split(",")]
            for key, _, values in (word.partition("=") for word in words if word != "-m")
        ]
    else:
        choices = [[word] for word in with_seeds(words)]
    for chosen in product(*choices):
        compose(chosen, folders)


@pytest.mark.parametrize("page", TEXTS)
def test_links_resolve(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[page]):
        file, _, heading = target.partition("#")
        if target.startswith("https://"):
            continue
        place = (ROOT / page).parent / file if file else ROOT / page
        assert place.exists(), target
        titles = re.findall(r"^#+ (.*)$", place.read_text(), re.M) if heading else []
        anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not heading or heading in anchors, target


@pytest.mark.parametrize("page", TEXTS)
def test_prose_is_wrapped(page: str) -> None:
    long = [line for line in TEXTS[page].splitlines() if len(line) > 100]
    assert not [line for line in long if not line.startswith("|")]


def test_set_up_lines_are_where_ci_reads_them() -> None:
    """Each is one command line in a block of its own."""
    for name, last in (("set-up", "python -m benchmark"), ("tests", "pytest")):
        block = rf"<!-- {name} -->\n```sh\n(pip install -c constraints\.txt .*) && (.*)\n```"
        (found,) = re.findall(block, TEXTS["README.md"])
        assert found[1] == last


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    newest = re.search(r"^## (\S+)$", TEXTS["CHANGELOG.md"], re.M)
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)

    assert newest and cited
    assert newest[1] == cited[1] == project["version"]


def score(folder: Path, *words: str) -> dict[str, float]:
    done = run_cli("--config-dir", "conf", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    newest = max(folder.glob("results/*/*/*/*/*.json"), key=lambda path: path.stat().st_mtime_ns)
    scores: dict[str, float] = json.loads(newest.read_text())["scores"]["test"]
    return scores


def test_task_recipe(own: Path) -> None:
    assert set(score(own, "task=mine", "model=kmer")) == {"spearman", "rmse"}


def test_fasta_recipe(own: Path) -> None:
    """The same rows in another format give the same score, with families as units."""
    assert score(own, "task=mine_fasta", "model=kmer") == score(own, "task=mine", "model=kmer")
    (path,) = own.glob("results/mine_fasta/kmer/linear/*/seed0.json")
    record = json.loads(path.read_text())
    assert record["examples"] == {"train": 60, "valid": 20, "test": 30}
    assert record["units"]["test"] < 30


def test_kind_of_task_recipe(own: Path) -> None:
    assert score(own, "task=mine_log", "model=length")["spearman"] > 0.95


def test_checkpoint_recipe(own: Path) -> None:
    score(own, "task=mine", "model=mine", "device=cpu")
    assert (own / "results" / "mine" / "mine").is_dir()


def test_backbone_recipe(own: Path) -> None:
    assert score(own, "task=mine", "model=length")["spearman"] > 0.95


def test_method_and_metric_recipes(own: Path) -> None:
    metrics = "task.metrics=[rmse,mypackage.bias.bias,mypackage.bias.median_error]"
    scores = score(own, "task=mine", "model=length", "method=mean", metrics)

    assert abs(scores["bias"]) < scores["median_error"] < 10 < scores["rmse"]


@pytest.mark.slow
def test_bare_command_ends_in_a_table_and_a_score(tmp_path: Path) -> None:
    """The main job of the README, offline; `test_pocket_models.py` checks its score."""
    done = run_cli(cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("results/pocket_ss8/pocket_mlm_s/linear/*/seed0.json"))
    assert re.search(
        r"q8 0\.\d{3} \[0\.\d{3}, 0\.\d{3}\] \(95% CI, 117 homology clusters\)", done.stdout
    )
    assert "share of residues" in done.stdout and "Next:" in done.stdout

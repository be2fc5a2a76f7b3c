"""The command line as a user meets it, run for real in a folder of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT, random_chain, save_proteinglm


def benchmark(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    command = [sys.executable, "-m", "benchmark", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a refusal."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def test_a_run_leaves_a_record_predictions_and_tables(tmp_path: Path, toy_conf: Path) -> None:
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer")
    done = benchmark(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    record = json.loads(path.read_text())
    low, high = record["intervals"]["test"]["accuracy"]
    score = record["scores"]["test"]["accuracy"]

    assert low <= score <= high
    assert record["cost"]["peak_bytes"] > 1e7 and "forward_flops" not in record["cost"]
    assert record["scored"]["test"] == record["examples"]["test"] == 30
    assert f"accuracy {score:.3f} [{low:.3f}, {high:.3f}] (95 %, 30 units)" in done.stdout
    assert str(path.relative_to(tmp_path)) in done.stdout
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    assert list(rows[0]) == ["test", "id", "group", "seq", "label", "prediction"]
    right = sum((row["prediction"] > 0.5) == row["label"] for row in rows)
    assert right / len(rows) == pytest.approx(score), "the score can be had from the predictions"
    table = (tmp_path / "results" / "README.md").read_text()
    assert f"| kmer (baseline) | **{score:.3f}** [{low:.3f}, {high:.3f}] |" in table
    assert not list((tmp_path / "results").rglob(".*")), "no temporary file stays"

    again = benchmark(*words, cwd=tmp_path)
    assert again.returncode == 0
    assert "skipped: result exists" in again.stdout
    other = benchmark(*words, "seed=1", "method.max_iter=250", cwd=tmp_path)
    assert "skipped: result exists" not in other.stdout
    assert len(list((tmp_path / "results").glob("toy/kmer/linear/*/*.json"))) == 2


def test_several_seeds_are_runs_of_their_own_and_one_row(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    """Seed 1 among others is the run that seed=1 is; what is there is not run again."""
    alone, several = tmp_path / "alone", tmp_path / "several"
    words = ("--config-dir", str(toy_conf), "task=toy", "model=huggingface", "name=tiny")
    words += (f"model.path={esm_folder}",)
    for folder, seeds in ((alone, "seed=1"), (several, "seeds=0,1,2")):
        folder.mkdir()
        done = benchmark(*words, seeds, cwd=folder)
        assert done.returncode == 0, done.stderr
    (path,) = (alone / "results").glob("toy/tiny/linear/*/seed1.json")
    same = several / path.relative_to(alone)
    one, other = (json.loads(file.read_text()) for file in (path, same))
    assert len(list(same.parent.glob("seed*.json"))) == 3
    assert same.with_suffix(".parquet").read_bytes() == path.with_suffix(".parquet").read_bytes()
    for changing in ("seconds", "created"):
        del one[changing], other[changing]
    memory = [record["cost"].pop("peak_bytes") for record in (one, other)]
    assert one == other, "its cost is its own alone, too"
    assert all(1e8 < held < 1e10 for held in memory)
    assert one["cost"]["chains"] == 130 and one["cost"]["forward_flops"] > 1e6
    assert one["cost"]["backward_flops"] == 0 and one["cost"]["trained_parameters"] == 17

    (told,) = [line for line in done.stdout.splitlines() if line.startswith("toy · tiny")]
    assert "± 0.000 [" in told and ", 3 seeds (95 %, 30 units)" in told
    total = f"{3 * one['cost']['forward_flops']:.1e} FLOPs forward, "
    assert any(line.startswith(total) for line in done.stdout.splitlines())
    assert "], 3 seeds |" in (several / "results" / "README.md").read_text()
    more = benchmark(*words, "seeds=[2,5]", cwd=several)
    assert more.stdout.count("skipped: result exists") == 1 and ", 2 seeds (95 %" in more.stdout
    assert "], 4 seeds |" in (several / "results" / "README.md").read_text()
    swept = benchmark("-m", *words[:3], "model=kmer,blosum62", "seeds=0,1", cwd=alone)
    assert swept.returncode == 0, swept.stderr
    assert len(list(alone.glob("results/toy/*/linear/*/seed[01].json"))) == 5


def test_a_cross_validated_run_ranks_by_the_mean(tmp_path: Path, toy_conf: Path) -> None:
    """The column of splits taken for one of folds: every row is predicted, and once."""
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer", "task.columns.fold=split")
    done = benchmark(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    record = json.loads(path.read_text())
    folds = {"test": 30, "train": 80, "valid": 20}
    scores = {name: found["accuracy"] for name, found in record["scores"].items()}

    assert list(scores) == ["mean", *folds]
    assert scores["mean"] == pytest.approx(sum(scores[fold] for fold in folds) / 3)
    assert record["scored"] == record["units"] == {"mean": 130, **folds}
    assert record["examples"] == {"train": 0, "valid": 0, **folds, "mean": 130}
    assert {"test", "test, its train", "test, its valid"} <= set(record["data"])
    assert f"accuracy {scores['mean']:.3f} [" in done.stdout and "(95 %, 130 units)" in done.stdout
    rows = pq.read_table(path.with_suffix(".parquet")).to_pylist()
    assert len({row["id"] for row in rows}) == len(rows) == 130
    assert "n = 130 |" in (tmp_path / "results" / "README.md").read_text()
    few = benchmark(*words, "limit=10", cwd=tmp_path)
    assert "(95 %, 30 units)" in few.stdout, few.stderr


def test_pairs_apart_and_joined_are_told_apart(tmp_path: Path, pair_conf: Path) -> None:
    """How chains meet the model is in the Record, and gives a column of its own."""
    words = ("--config-dir", str(pair_conf), "task=pairs", "model=kmer")
    features = {}
    for chains in ("apart", "joined"):
        done = benchmark(*words, f"task.chains={chains}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        newest = max(tmp_path.glob("results/pairs/*/*/*/*.json"), key=os.path.getmtime)
        record = json.loads(newest.read_text())
        features[chains] = record["choices"]["sample"]["train"]["features"]
        assert record["config"]["task"]["chains"] == chains
        assert record["backbone"]["linker"] == {"apart": None, "joined": "G" * 25}[chains]
        assert record["notes"]["unit"] == "protein of a pair"
        assert sum(record["notes"]["chains_in_train"]["test"].values()) == 40
        assert "chains of a test example that are in train, too: " in done.stdout
    assert features == {"apart": 842, "joined": 421}
    assert "pairs #2" in (tmp_path / "results" / "README.md").read_text()
    wrong = benchmark(*words, "task.chains=glued", cwd=tmp_path)
    assert "chains=glued is not known; allowed are apart, joined" in refused(wrong)


def test_a_limited_run_is_marked_and_kept_out(tmp_path: Path, toy_conf: Path) -> None:
    done = benchmark(
        "--config-dir", str(toy_conf), "task=toy", "model=kmer", "limit=12", cwd=tmp_path
    )

    assert "limit=12: a quick try, kept out of the leaderboard" in done.stdout
    assert not (tmp_path / "results" / "README.md").exists()
    (path,) = (tmp_path / "results").glob("toy/kmer/linear/*/seed0.json")
    assert json.loads(path.read_text())["examples"] == {"train": 12, "valid": 12, "test": 12}


def test_a_local_checkpoint_and_its_name(tmp_path: Path, toy_conf: Path, esm_folder: Path) -> None:
    words = ("--config-dir", str(toy_conf), "task=toy", "model=esm2_8m", f"model.path={esm_folder}")
    assert benchmark(*words, cwd=tmp_path).returncode == 0
    assert benchmark(*words, "name=step-7", "device=cpu", cwd=tmp_path).returncode == 0

    assert {path.name for path in (tmp_path / "results" / "toy").iterdir()} == {
        "tiny-esm",
        "step-7",
    }


def test_contact_with_a_local_proteinglm(tmp_path: Path) -> None:
    """`task=contact model=mlm10b` as on the hub's data, on a mirror of three chains a split."""
    rng = np.random.default_rng(0)
    mirror = tmp_path / "mirror" / "biomap-research" / "contact_prediction_binary"
    mirror.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        chains = [random_chain(rng, 40) for _ in range(3)]
        pairs = [[[i, i + 8] for i in range(0, 30, 3)]] * 3
        pq.write_table(pa.table({"seq": chains, "label": pairs}), mirror / f"{split}.parquet")
    folder = save_proteinglm(tmp_path)
    words = ("task=contact", "model=mlm10b", f"model.path={folder}", f"mirror={tmp_path}/mirror")
    done = benchmark(*words, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results").glob("contact/tiny-proteinglm-mlm/linear/*/seed0.json")
    record = json.loads(path.read_text())
    assert record["backbone"]["layers"] == 2
    assert record["backbone"]["published"]["parameters"] == 10682514944
    assert not any("facts" in name for name in record["settings"])
    again = benchmark(*words, "model.facts={}", cwd=tmp_path)
    assert "skipped: result exists" in again.stdout, (
        "what is known of a model does not set runs apart"
    )


def test_two_checkpoints_of_one_name_are_told(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    """The tables show the newest weights; the older ones' run says so when it is asked again."""
    words = ("--config-dir", str(toy_conf), "task=toy", "model=huggingface", "name=last")
    other = Path(shutil.copytree(esm_folder, tmp_path / "b"))
    (other / "special_tokens_map.json").write_text('{"unk_token": "<unk>"}')
    first = benchmark(*words, f"model.path={esm_folder}", cwd=tmp_path)
    assert "newer weights" not in first.stdout
    assert benchmark(*words, f"model.path={other}", cwd=tmp_path).returncode == 0
    again = benchmark(*words, f"model.path={esm_folder}", cwd=tmp_path)

    assert "skipped: result exists" in again.stdout
    assert (
        "the tables show newer weights of the name last; name=WORD sets them apart" in again.stdout
    )


EDITED = {
    "task.metrics=[mine3.shift]": (
        "import numpy as np\nfrom benchmark.core import metric\n@metric(higher_is_better=True)\n"
        "def shift(predictions, labels, weights):\n    return np.full(len(weights), 1.0)\n"
    ),
    "method._target_=mine3.Mine": (
        "from benchmark.methods.probe.linear import Linear\nclass Mine(Linear):\n    pass\n"
    ),
    "model._target_=mine3.Mine": (
        "from benchmark.backbones.baselines.descriptors import Kmer\nclass Mine(Kmer):\n    pass\n"
    ),
    "task._target_=mine3.Mine": (
        "from tasks.protein import Protein\nclass Mine(Protein):\n    pass\n"
    ),
}


@pytest.mark.parametrize("word", EDITED)
def test_a_users_edited_code_is_another_run(tmp_path: Path, toy_conf: Path, word: str) -> None:
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer", word)
    text = EDITED[word]
    for content in (text, text + "# edited\n", text):
        (tmp_path / "mine3.py").write_text(content)
        done = benchmark(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert "skipped: result exists" in done.stdout, "the same code as at first"
    first, second = (str(path) for path in tmp_path.glob("results/toy/kmer/linear/*/seed0.json"))
    told = benchmark("why", first, second, cwd=tmp_path).stdout
    assert re.search(r"^versions\.\w+", told, re.M) and "different runs" in told


def test_code_of_ours_is_in_no_key(tmp_path: Path, toy_conf: Path) -> None:
    """A copy of the program with an edited comment skips the run; rerun=true runs it."""
    for name in ("benchmark", "tasks", "conf"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("pocket"))
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer")
    assert benchmark(*words, cwd=tmp_path).returncode == 0
    for name in ("core", "data", "evaluate", "methods/linear"):
        file = tmp_path / "benchmark" / f"{name}.py"
        file.write_text(file.read_text() + "# a comment\n")
    again = benchmark(*words, cwd=tmp_path)
    assert "skipped: result exists" in again.stdout and "other code of the same" in again.stdout
    assert "skipped" not in benchmark(*words, "rerun=true", cwd=tmp_path).stdout
    assert len(list(tmp_path.glob("results/toy/kmer/linear/*"))) == 1


def test_changed_code_is_run_again(tmp_path: Path, toy_conf: Path) -> None:
    """A metric's file, and what it imports of its package, are part of a run's key."""
    (tmp_path / "mine2").mkdir()
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = 1.0\n")
    (tmp_path / "mine2" / "shift.py").write_text(
        "import numpy as np\nfrom benchmark.core import metric\nfrom mine2 import helper\n"
        "@metric(higher_is_better=True)\ndef shift(predictions, labels, weights):\n"
        "    return np.full(len(weights), helper.OFFSET)\n"
    )
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer")
    words += ("task.metrics=[mine2.shift.shift]",)
    assert "shift 1.000" in benchmark(*words, cwd=tmp_path).stdout
    assert "skipped: result exists" in benchmark(*words, cwd=tmp_path).stdout
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = 2.0\n")

    assert "shift 2.000" in benchmark(*words, cwd=tmp_path).stdout
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = 1.0\n")
    assert "skipped: result exists" in benchmark(*words, cwd=tmp_path).stdout
    (tmp_path / "mine2" / "helper.py").write_text("OFFSET = float('nan')\n")
    undefined = benchmark(*words, "results=other", cwd=tmp_path)
    assert undefined.returncode == 0 and "shift undefined" in undefined.stdout, undefined.stderr


def test_a_readme_that_is_not_ours_is_not_replaced(tmp_path: Path, toy_conf: Path) -> None:
    (tmp_path / "README.md").write_text("# My project")
    done = benchmark("--config-dir", str(toy_conf), "task=toy", "results=.", cwd=tmp_path)

    assert "holds a README.md that is not a leaderboard" in refused(done)
    assert (tmp_path / "README.md").read_text() == "# My project"


def test_several_runs_go_on_after_a_failure(tmp_path: Path, toy_conf: Path) -> None:
    words = ("--config-dir", str(toy_conf), "-m", "task=toy", "model=huggingface,kmer")
    done = benchmark(*words, cwd=tmp_path)

    assert "model.path is missing; give model.path=..." in refused(done)
    assert list((tmp_path / "results").glob("toy/kmer/linear/*/seed0.json"))


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_leaves_nothing(tmp_path: Path, kind: signal.Signals) -> None:
    """Stopped while pairs are spooled to disk: no Record, and no scratch file stays."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "benchmark", "task=pocket_contact", "model=onehot"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, kind, signal.SIG_DFL),  # background jobs ignore SIGINT
    ) as process:
        while process.poll() is None and not list(tmp_path.glob("benchmark-*/*")):
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(kind)
        _, errors = process.communicate(timeout=60)

    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].startswith("error: interrupted; what was finished")
    assert [path.name for path in tmp_path.rglob("*")] == ["results"]


def test_interrupted_between_seeds_leaves_tables_of_what_is_done(
    tmp_path: Path, toy_conf: Path
) -> None:
    seeds = ",".join(map(str, range(1000)))
    words = ["--config-dir", str(toy_conf), "task=toy", "model=kmer", f"seeds={seeds}"]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmark", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        while process.poll() is None and not list(tmp_path.rglob("seed1.json")):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert process.returncode == 130
    count = len(list(tmp_path.rglob("seed*.json")))
    assert f"], {count} seeds |" in (tmp_path / "results" / "README.md").read_text()


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, toy_conf: Path) -> None:
    """Files may not grow past 6 kB: the Record is small enough, the predictions are not."""
    code = (
        "import resource, runpy, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\n"
        "runpy.run_module('benchmark', run_name='__main__')\n"
    )
    words = ["--config-dir", str(toy_conf), "task=toy", "model=kmer"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )

    assert "File too large" in refused(done)
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]


def test_list_names_everything(tmp_path: Path) -> None:
    done = benchmark("list", cwd=tmp_path)

    assert done.returncode == 0
    for group in ("task", "model", "method", "suite"):
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            assert file.stem in done.stdout


def test_help_tells_the_settings(tmp_path: Path) -> None:
    done = benchmark("--help", cwd=tmp_path)

    assert done.returncode == 0
    for word in ("python -m benchmark list", "limit: null", "+suite=pocket"):
        assert word in done.stdout


def test_tables_are_as_wide_as_their_numbers(tmp_path: Path, toy_conf: Path) -> None:
    """On a narrow terminal no number is cut off; a place with a blank in its name is read."""
    results = tmp_path / "my results"
    words = ("--config-dir", str(toy_conf), "task=toy", "model=kmer", f"results={results}")
    assert benchmark(*words, "name=a-name-that-takes-some-room", cwd=tmp_path).returncode == 0
    command = [sys.executable, "-m", "benchmark", "leaderboard", f"results={results}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "40"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    (path,) = results.glob("toy/*/linear/*/seed0.json")
    record = json.loads(path.read_text())
    low, high = record["intervals"]["test"]["accuracy"]
    assert f"[{low:.3f}, {high:.3f}]" in done.stdout and "…" not in done.stdout


def test_no_memory_is_one_sentence(tmp_path: Path, toy_conf: Path) -> None:
    (tmp_path / "full.py").write_text(
        "from benchmark.core import Backbone\n"
        "class Full(Backbone):\n"
        "    digest = 'full'\n"
        "    def __init__(self):\n"
        "        raise MemoryError\n"
    )
    (toy_conf / "model").mkdir()
    (toy_conf / "model" / "full.yaml").write_text("_target_: full.Full\n")
    done = benchmark("--config-dir", str(toy_conf), "task=toy", "model=full", cwd=tmp_path)

    assert "out of memory; cut all chains with task.max_length" in refused(done)

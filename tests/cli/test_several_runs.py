"""Several seeds and several runs of one command."""

import json
import re
from pathlib import Path

import pytest

from benchmark.backbones.baselines.descriptors import Kmer
from tests.command_line import refused, run_cli


@pytest.mark.slow
def test_several_seeds_are_separate_runs_in_one_row(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    """Seed 1 of several equals the run of seed=1; an existing Record is not made again."""
    alone, several = tmp_path / "alone", tmp_path / "several"
    words = ("--config-dir", str(toy_conf), "task=toy", "model=huggingface", "name=tiny")
    words += (f"model.path={esm_folder}",)
    for folder, seeds in ((alone, "seed=1"), (several, "seeds=0,1,2")):
        folder.mkdir()
        done = run_cli(*words, seeds, cwd=folder)
        assert done.returncode == 0, done.stderr
    (path,) = (alone / "results").glob("toy/tiny/linear/*/seed1.json")
    same = several / path.relative_to(alone)
    one, other = (json.loads(file.read_text()) for file in (path, same))
    assert len(list(same.parent.glob("seed*.json"))) == 3
    assert same.with_suffix(".parquet").read_bytes() == path.with_suffix(".parquet").read_bytes()
    for changing in ("seconds", "created"):
        del one[changing], other[changing]
    memory = [record["usage"].pop("peak_bytes") for record in (one, other)]
    assert one == other, "its usage counts its own work alone"
    assert all(1e8 < held < 1e10 for held in memory)
    assert one["usage"]["chains"] == 130 and one["usage"]["forward_flops"] > 1e6
    assert one["usage"]["backward_flops"] == 0 and one["usage"]["trained_parameters"] == 17

    (message,) = [line for line in done.stdout.splitlines() if line.startswith("toy · tiny")]
    assert "± 0.000 [" in message and ", 3 seeds (95% CI, 30 proteins)" in message
    total = f"{3 * one['usage']['forward_flops']:.1e} FLOPs forward, "
    assert any(line.startswith(total) for line in done.stdout.splitlines())
    assert "], 3 seeds |" in (several / "results" / "README.md").read_text()
    more = run_cli(*words, "seeds=[2,5]", cwd=several)
    assert more.stdout.count("skipped: result exists") == 1 and ", 2 seeds (95% CI" in more.stdout
    assert "], 4 seeds |" in (several / "results" / "README.md").read_text()
    swept = run_cli("-m", *words[:3], "model=kmer,blosum62", "seeds=0,1", cwd=alone)
    assert swept.returncode == 0, swept.stderr
    assert len(list(alone.glob("results/toy/*/linear/*/seed[01].json"))) == 5


def test_a_sweep_continues_after_a_failure(tmp_path: Path, toy_conf: Path) -> None:
    words = ("--config-dir", str(toy_conf), "-m", "task=toy", "model=huggingface,kmer")
    done = run_cli(*words, cwd=tmp_path)

    assert "model.path is missing; give model.path=..." in refused(done)
    assert list((tmp_path / "results").glob("toy/kmer/linear/*/seed0.json"))


@pytest.mark.slow
def test_a_multirun_ends_with_a_row_for_each_run_and_each_cause_once(
    tmp_path: Path, toy_conf: Path
) -> None:
    """Done, skipped and failed; a cause is one sentence however many runs it stopped."""
    words = ("--config-dir", str(toy_conf), "task=toy")
    assert run_cli(*words, "model=kmer", cwd=tmp_path).returncode == 0
    models = "model=kmer,onehot,huggingface,proteinglm"
    done = run_cli("-m", *words, models, cwd=tmp_path, env={"COLUMNS": "80"})
    table = done.stdout.split("All runs of this command\n")[1]
    rows = dict(line.split(maxsplit=1) for line in table.splitlines()[:5])

    assert done.returncode == 1
    assert rows["model"] == "run         score"
    assert rows["kmer"].startswith("skipped     accuracy 0.")
    assert rows["onehot"].startswith("done        accuracy 0.")
    assert rows["huggingface"] == rows["proteinglm"] == "failed (1)  –"
    assert "\n(1) model.path is missing; give model.path=...\n" in table
    assert table.rstrip().endswith("1 skipped, 1 done, 2 failed")
    assert refused(done) == "error: model.path is missing; give model.path=..."
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not list(tmp_path.glob("results/.*")), "nothing of Hydra's is left"


@pytest.mark.slow
def test_failures_alike_but_for_their_data_are_one_cause(tmp_path: Path) -> None:
    words = ("model=onehot", "-m", "task=contact,fold,stability")
    done = run_cli(*words, cwd=tmp_path, env={"HF_HUB_OFFLINE": "1"})

    assert done.stderr.count("error: ") == 1, done.stderr
    assert "3 failed" in done.stdout and "(2)" not in done.stdout
    named = " ".join(done.stdout.split())
    assert "; likewise biomap-research/fold_prediction, biomap-research/stability" in named


@pytest.mark.slow
def test_a_method_without_a_model_is_refused_before_a_model_is_opened(
    tmp_path: Path, toy_conf: Path
) -> None:
    """Of models and methods the combinations that cannot be are one cause; the others are done."""
    words = ("--config-dir", str(toy_conf), "task=toy")
    both = ("method=linear,nearest", "model=onehot,kmer")
    done = run_cli("-m", *words, *both, cwd=tmp_path, env={"COLUMNS": "80"})

    assert refused(done) == "error: method=nearest uses no model; leave model=... out"
    assert "2 done, 2 failed" in done.stdout and "(2)" not in done.stdout
    path = ("model=huggingface", "model.path=nowhere", "method=nearest")
    assert "uses no model" in refused(run_cli(*words, *path, cwd=tmp_path))
    alone = run_cli(*words, "method=nearest", cwd=tmp_path).stdout
    assert "\nnearest (baseline)  " in alone
    assert "toy · nearest: " in alone


@pytest.mark.slow
def test_a_bug_ends_one_run_and_not_the_others(
    tmp_path: Path, toy_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("x / 0")

    monkeypatch.setattr(Kmer, "embed_proteins", fails)
    words = ("--config-dir", str(toy_conf), "-m", "task=toy", "model=kmer,onehot")
    done = run_cli(*words, cwd=tmp_path)

    assert done.returncode == 1
    assert "this is a bug in the benchmark (ZeroDivisionError: x / 0)" in refused(done)
    assert "Error executing job" not in done.stderr
    assert list((tmp_path / "results").glob("toy/onehot/linear/*/seed0.json"))
    alone = run_cli(*words[:2], "task=toy", "model=kmer", cwd=tmp_path)
    assert alone.returncode == 70 and "(ZeroDivisionError: x / 0)" in refused(alone)
    for log in re.findall(r"traceback in (\S+),", done.stderr + alone.stderr):
        Path(log).unlink()

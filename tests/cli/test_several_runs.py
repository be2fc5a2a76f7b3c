"""Several seeds and several runs of one command."""

import json
from pathlib import Path

from tests.command_line import refused, run_cli


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

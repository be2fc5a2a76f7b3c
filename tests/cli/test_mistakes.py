"""A user's mistake ends in one sentence and a non-zero exit status, and leaves no Record."""

from pathlib import Path

import pytest

from tests.command_line import refused, run_cli


def test_a_broken_yaml_is_one_sentence(tmp_path: Path, toy_conf: Path) -> None:
    path = toy_conf / "task" / "toy.yaml"
    text = path.read_text()
    words = ("--config-dir", str(toy_conf), "task=toy")
    for changed, message in (
        (text + "kind: [", "a yaml file cannot be read"),
        (text.replace("size: 2\n", ""), "Protein lacks the settings 'size'"),
        (text + "states: HEC\n", "Protein has no setting 'states'"),
        (text.replace("protein.Protein", "proteins.Protein"), "cannot import tasks.proteins"),
        (
            text.replace("tasks.protein.Protein", "benchmark.backbones.baselines.descriptors.Kmer"),
            "has no setting",
        ),
    ):
        path.write_text(changed)
        assert message in refused(run_cli(*words, cwd=tmp_path))
    path.rename(path.with_name("pocket_metal.yaml"))
    done = run_cli("--config-dir", str(toy_conf), "task=pocket_metal", cwd=tmp_path)
    assert "give yours a name of its own" in refused(done)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=pocket_contct"], "unknown task 'pocket_contct'; did you mean pocket_contact"),
        (["task="], "unknown task ''; known: "),
        (["model=one_hot"], "unknown model 'one_hot'; did you mean onehot"),
        (["method=liner"], "unknown method 'liner'; did you mean linear"),
        (["+suite=poket"], "unknown suite 'poket'; did you mean pocket"),
        (["suite=pocket"], "write +suite=pocket"),
        (["leaderbord"], "unknown command 'leaderbord'; did you mean leaderboard"),
        (["limt=3"], "unknown setting 'limt'; did you mean limit"),
        (["method.max_itr=3"], "did you mean method.max_iter"),
        (["limit=0"], "limit=0 is not allowed; give a whole number from 1 on"),
        (["name=a/b"], "name=a/b is not allowed"),
        (["name=.."], "name=.. is not allowed"),
        (["task.allow.truncated=inf"], "a setting is inf or nan; give finite numbers, or null"),
        (["seed=4294967296"], "seed=4294967296 is not allowed; 4294967295 is the largest"),
        (["seeds=0,x"], "seeds=0,x is not allowed; give whole numbers from 0 on, each once"),
        (["seeds=1,1"], "seeds=1,1 is not allowed"),
        (["seed=1", "seeds=1,2"], "seed= and seeds= are both given; give one of them"),
        (["model=huggingface"], "model.path is missing"),
        (
            ["model=huggingface", "model.path=no/where"],
            "no/where is not a folder, and the download from the hub failed",
        ),
        (["model=random", "device=cuda:9"], "device=cuda:9 is not available"),
        (["task=contact"], "cannot get biomap-research/contact_prediction_binary from the hub"),
        (["task=contact", "mirror=nowhere"], "the mirror of biomap-research/contact"),
        (["task.metrics=[q9]"], "no metric 'q9'"),
        (["results=/proc/none"], "cannot write to results=/proc/none"),
        (["task=pocket_ss8", "model=kmer"], "the backbone Kmer has none"),
        (["leaderboard", "results=nothing"], "there are no Records in nothing"),
        (["leaderboard", "result=nothing"], "leaderboard takes results=..."),
        (["task.metrics=[]"], "metrics=[] is not a list of names"),
        (["task=pocket_metal", "task.kind=classes"], "kind=classes is not known"),
        (["task=pocket_metal", "task.kind=real"], "size=2 does not fit kind=regression"),
        (["task=pocket_location", "task.metrics=[roc_auc]"], "roc_auc does not fit the task"),
        (["task.area=binding"], "area=binding is not known; allowed are structure"),
        (["task=pocket_contact", "task.min_separation=x"], "min_separation=x is not allowed"),
        (["method.penalties=[]"], "penalties=[] is not a list of positive numbers"),
        (["results="], "results= is not allowed; give a folder"),
        (["model=onehot", "model.encoding=foo"], "encoding=foo is not known"),
        (["task.version=two"], "version=two is not a whole number"),
        (["method.max_iter=abc"], "whole numbers"),
        (["store=/proc/none"], "cannot write to store=/proc/none"),
        (["store="], "store= is not allowed; give a folder"),
        (["store=true"], "store=True is not allowed"),
        (["store_gb=-1"], "store_gb=-1 is not allowed"),
        (["store_gb=lots"], "store_gb=lots is not allowed"),
        (["results=null"], "results=None is not allowed; give a folder"),
        (["list", "taks"], "did you mean tasks?"),
        (
            ["list", "format=html"],
            "unknown format 'html'; did you mean terminal",
        ),
        (["--config-dir", "absent"], "--config-dir absent is not a folder"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, words: list[str], message: str) -> None:
    assert message in refused(run_cli(*words, cwd=tmp_path))
    assert not list(tmp_path.rglob("*.json"))

"""What holds for every task, method, suite and metric on disk: a file is tested by existing."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import get_class, instantiate

from benchmark.core import RESIDUES, Backbone, Method, Task, UserError
from benchmark.data import AMBIGUOUS
from benchmark.evaluate import evaluate, limited
from benchmark.metrics import find
from tests.conftest import NARROW, SHARED, composed, make_backbone, make_task, yaml_names

EMBEDDED = [name for name in yaml_names("task") if name.startswith("pocket_")]


@pytest.mark.parametrize("name", yaml_names("task"))
def test_task_is_complete(name: str) -> None:
    task = make_task(name)

    assert task.metrics and all(find(metric).name == metric for metric in task.metrics)
    assert task.readout.size >= 1 and task.version >= 1
    assert type(task).__doc__ and type(task).__module__.startswith("tasks.")


@pytest.mark.parametrize("group", ["task", "method"])
def test_values_live_in_yaml_alone(group: str) -> None:
    for name in yaml_names(group):
        kind = get_class(composed(f"{group}={name}")[group]._target_)
        assert dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind):
            assert field.default is dataclasses.MISSING, f"{name}: {field.name}"


@pytest.mark.parametrize("name", yaml_names("suite"))
def test_suite_names_tasks(name: str) -> None:
    from omegaconf import OmegaConf

    suite: Any = OmegaConf.load(Path("conf", "suite", f"{name}.yaml"))

    assert set(suite.hydra.sweeper.params.task.split(",")) <= set(yaml_names("task"))


def check_splits(task: Task) -> None:
    """Disjoint units, legal letters, labels of the readout's shape and range."""
    splits = task.load()
    readout = task.readout
    assert splits.tests
    for example in (*splits.train, *splits.valid, *(e for t in splits.tests.values() for e in t)):
        assert set("".join(example.chains)) <= set(RESIDUES + AMBIGUOUS)
        label = np.asarray(example.label)
        length = len(example.chains[0])
        if readout.level == "pair":
            assert label.ndim == 2 and label.shape[1] == 2
            assert ((label[:, 0] < label[:, 1]) & (label[:, 1] < length)).all()
            continue
        shape = (length,) if readout.level == "residue" else ()
        assert label.shape == shape + ((readout.size,) if readout.kind == "labels" else ())
        if readout.kind != "real":
            assert label.min() >= -1
            assert label.max() < (readout.size if readout.kind == "class" else 2)
    for part in (splits.train, splits.valid, *splits.tests.values()):
        assert len({example.id for example in part}) == len(part)
    assert not {e.group for e in splits.train} & {e.group for e in splits.valid}


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_splits(name: str) -> None:
    task = make_task(name)
    check_splits(task)
    splits = task.load()
    groups = [{e.group for e in p} for p in (splits.train, splits.valid, splits.tests["test"])]

    assert sum(map(len, groups)) == len(set.union(*groups)), "clusters never straddle splits"


@pytest.mark.shared
@pytest.mark.parametrize("name", [n for n in yaml_names("task") if n not in EMBEDDED])
def test_mirrored_splits(name: str) -> None:
    check_splits(make_task(name, f"mirror={SHARED / 'data'}"))


@pytest.mark.parametrize("method", yaml_names("method"))
@pytest.mark.parametrize("task_name", EMBEDDED)
def test_methods_answer_every_embedded_task(task_name: str, method: str, esm_folder: Path) -> None:
    """A few examples, end to end: every metric comes out, and twice the same bits."""
    task = make_task(task_name)
    splits = limited(task.load(), 30)
    learner = instantiate(composed(f"method={method}").method, _convert_="all")
    backbone = instantiate(composed("model=onehot", "model.width=1").model, _convert_="all")
    if method in NARROW:
        backbone = make_backbone("huggingface", esm_folder)
    assert isinstance(learner, Method) and isinstance(backbone, Backbone)
    metrics = [find(name) for name in task.metrics]
    if task_name not in NARROW.get(method, EMBEDDED):
        with pytest.raises(UserError, match=f"method={method} answers"):
            evaluate(task, splits, backbone, learner, metrics, 0)
        return
    first, second = (evaluate(task, splits, backbone, learner, metrics, 0) for _ in range(2))

    found = first.tests["test"]
    assert set(task.metrics) - set(found.scores) <= {"mcc"}, "undefined where one class is told"
    assert found.scores == second.tests["test"].scores
    assert found.intervals == second.tests["test"].intervals
    for metric, (low, high) in found.intervals.items():
        assert low <= found.scores[metric] <= high or metric.endswith("long")


@pytest.mark.parametrize("task_name", ["pocket_ss8", "pocket_metal", "pocket_contact"])
def test_scores_do_not_depend_on_batches(task_name: str, esm_folder: Path) -> None:
    """Small and large batches, rows in another order: the same score within 1e-3."""
    task = make_task(task_name)
    splits = limited(task.load(), 40)
    turned = splits._replace(tests={"test": splits.tests["test"][::-1]})
    learner = instantiate(composed().method, _convert_="all")
    metrics = [find(task.metrics[0])]
    scores = []
    for tokens, part in ((8192, splits), (300, splits), (2000, turned)):
        backbone = make_backbone("huggingface", esm_folder, f"batch_tokens={tokens}")
        outcome = evaluate(task, part, backbone, learner, metrics, 0)
        scores.append(outcome.tests["test"].scores[task.metrics[0]])

    assert scores == pytest.approx([scores[0]] * 3, abs=1e-3)


@pytest.mark.parametrize("method", yaml_names("method"))
def test_methods_refuse_what_a_backbone_cannot_do(method: str) -> None:
    class Mute(Backbone):
        digest = "mute"

    task = make_task("pocket_metal")
    splits = limited(task.load(), 5)
    learner = instantiate(composed(f"method={method}").method, _convert_="all")

    with pytest.raises(UserError, match="the backbone Mute has none"):
        learner.fit(Mute(), task.readout, splits.train, splits.valid, 0)

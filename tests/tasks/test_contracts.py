"""What holds for every task, method, suite and metric on disk: a file is tested by existing."""

import dataclasses
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from benchmark.core import (
    RESIDUES,
    Area,
    Backbone,
    FitContext,
    Method,
    Sampling,
    Splits,
    Task,
    UserError,
)
from benchmark.data.cell_values import AMBIGUOUS
from benchmark.metrics import find
from benchmark.report.suites import merged
from benchmark.run.evaluation import evaluate, subset
from tests.conftest import (
    EMBEDDED,
    NARROW,
    QUICK,
    ROOT,
    SHARED,
    UNLEARNED,
    composed,
    make_backbone,
    make_task,
    marked_slow,
    yaml_names,
)

YAMLS = {name: merged([ROOT / "conf"], "task", name) for name in yaml_names("task")}
ON_HUB = {n: y["source"] for n, y in YAMLS.items() if y["source"].startswith("hub:")}
HUB_ALONE = {"antibiotic_resistance", "optimal_ph", "cloning", "material_production"}
HUB_ALONE |= {"antibody_developability"}  # its table lies elsewhere: tests/tasks/test_shared.py
"""On the hub, not in ../shared/data."""
MIRRORED = {  # rows of train, valid and test; chains in a row; test units
    "contact": (1500, 150, 300, 1, 300),
    "enzyme_catalytic_efficiency": (3580, 418, 410, 1, 273),
    "fitness": (6289, 699, 1745, 1, 1745),
    "fluorescence": (20957, 5240, 25517, 1, 25517),
    "fold": (12312, 736, 718, 1, 718),
    "localization": (10365, None, 2768, 1, 2768),
    "metal_ion_binding": (6000, None, 1332, 1, 1332),
    "optimal_temperature": (2626, None, 291, 1, 291),
    "peptide_hla": (24000, 3000, 3000, 2, 102),
    "solubility": (15600, None, 1740, 1, 1735),
    "ssp_q3": (3000, None, 364, 1, 364),
    "ssp_q8": (1500, None, 300, 1, 300),
    "stability": (53614, 2512, 12851, 1, 17),  # Rocklin et al. 2017: 17 designs were mutated
    "tcr_pmhc": (16000, None, 4000, 2, 131),
    "temperature_stability": (5616, 624, 1550, 1, 1550),
}
"""What lies in ../shared/data/biomap-research, counted by another program."""
LARGE = ("stability", "fluorescence", "peptide_hla", "solubility", "localization")
"""Those of more than 10,000 rows that others represent."""


@pytest.mark.parametrize("name", yaml_names("task"))
def test_task_is_complete(name: str) -> None:
    task = make_task(name)

    assert task.metrics and all(find(metric).name == metric for metric in task.metrics)
    assert task.readout.size >= 1 and task.version >= 1
    assert type(task).__doc__ and type(task).__module__.startswith("tasks.")


OPTIONAL = {field.name for field in dataclasses.fields(Sampling)} | {"bands_against"}
"""What a caller of `Backbone.sample` may leave out, and what yamls of older versions lack."""


@pytest.mark.parametrize("group", ["task", "method"])
def test_values_live_in_yaml_alone(group: str) -> None:
    for name in yaml_names(group):
        kind = get_class(composed(f"{group}={name}")[group]._target_)
        assert dataclasses.is_dataclass(kind)
        for field in dataclasses.fields(kind):
            optional = field.name in OPTIONAL
            assert optional or field.default is dataclasses.MISSING, f"{name}: {field.name}"
            assert field.name in composed(f"{group}={name}")[group], f"{name}: {field.name}"


def suite_tasks(name: str) -> list[str]:
    suite: Any = OmegaConf.load(ROOT / "conf" / "suite" / f"{name}.yaml")
    return [task.strip() for task in suite.hydra.sweeper.params.task.split(",")]


@pytest.mark.parametrize("name", yaml_names("suite"))
def test_suite_names_tasks(name: str) -> None:
    tasks = suite_tasks(name)

    assert set(tasks) <= set(yaml_names("task")) and len(set(tasks)) == len(tasks)
    if name in get_args(Area):
        others = set(yaml_names("task")) - set(EMBEDDED)
        assert set(tasks) == {task for task in others if YAMLS[task]["area"] == name}


def test_suites_of_the_papers() -> None:
    """18 tasks are 19 data sets without ssp_q8; of the 15, three came later."""
    eighteen, fifteen = suite_tasks("xtrimo18"), suite_tasks("xtrimo15")
    mine = {"antibody_developability", "ssp_q8"}

    assert {*MIRRORED, *HUB_ALONE} - mine == set(eighteen)
    assert set(eighteen) - set(fifteen) == {"optimal_ph", "cloning", "material_production"}
    assert [len(eighteen), len(fifteen)] == [18, 15]


def check_splits(task: Task) -> Splits:
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
        assert label.shape == shape + ((readout.size,) if readout.kind == "multilabel" else ())
        if readout.kind == "likelihood":
            assert (
                np.flatnonzero(label == 0).tolist()
                == readout.scored_positions(example.chains[0]).tolist()
            )
        elif readout.kind != "regression":
            assert label.min() >= -1
            assert label.max() < (readout.size if readout.kind == "classification" else 2)
    for part in (splits.train, splits.valid, *splits.tests.values()):
        assert len({example.id for example in part}) == len(part)
    if splits.report.valid:
        assert not {e.group for e in splits.train} & {e.group for e in splits.valid}
    return splits


@cache
def embedded_splits(name: str) -> Splits:
    """Read once for all methods."""
    return make_task(name).load()


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_splits(name: str) -> None:
    task = make_task(name)
    splits = check_splits(task)
    tests = [example for test in splits.tests.values() for example in test]
    groups = [{example.group for example in part} for part in (splits.train, splits.valid, tests)]

    assert sum(map(len, groups)) == len(set.union(*groups)), "clusters never straddle splits"


@pytest.mark.shared
@pytest.mark.parametrize("name", marked_slow(MIRRORED, *LARGE))
def test_mirrored_splits(name: str) -> None:
    """All of the mirror's rows, labels of every class, chains and units."""
    train, valid, test, chains, units = MIRRORED[name]
    task = make_task(name, f"mirror={SHARED / 'data'}")
    splits = check_splits(task)
    (found,) = splits.tests.values()

    sizes = {"train": train, "valid": valid, "test": test}
    assert splits.report.sizes == {split: rows for split, rows in sizes.items() if rows}
    assert len(splits.train) + (0 if valid else len(splits.valid)) == train and len(found) == test
    assert {len(example.chains) for example in (*splits.train, *found)} == {chains}
    assert len({example.group for example in found}) == units
    if task.readout.kind == "classification" and task.readout.level != "pair":
        seen = {int(x) for e in (*splits.train, *splits.valid) for x in np.ravel(e.label)} - {-1}
        assert seen == set(range(task.readout.size))


@pytest.mark.parametrize("name", ON_HUB)
def test_tasks_on_the_hub_are_mirrored_or_listed_and_tell_how_to_get_them(
    name: str, tmp_path: Path
) -> None:
    assert (name in MIRRORED) != (name in HUB_ALONE)
    place = ON_HUB[name].removeprefix("hub:")
    with pytest.raises(UserError, match=rf"give mirror=DIR with DIR/{place}/train.parquet"):
        make_task(name).load()
    with pytest.raises(UserError, match=f"the mirror of {place} is not there"):
        make_task(name, f"mirror={tmp_path}").load()


@pytest.mark.parametrize(
    ("task_name", "method"),
    [
        # each search of MMseqs2 takes seconds, however small
        pytest.param(task, method, marks=[pytest.mark.slow] * (method == "nearest"))
        for task, method in product(EMBEDDED, yaml_names("method"))
    ],
)
def test_methods_answer_every_embedded_task(task_name: str, method: str, esm_folder: Path) -> None:
    """A few examples, end to end: every metric comes out, and twice the same bits."""
    task = make_task(task_name)
    splits = subset(embedded_splits(task_name), 12)
    words = QUICK.get(method, [])
    learner = instantiate(composed(f"method={method}", *words).method, _convert_="all")
    backbone = instantiate(composed("model=onehot", "model.width=1").model, _convert_="all")
    if method == "nearest":
        backbone = instantiate(composed("model=none").model)
    if method in NARROW:
        causal = task.readout.context == "left"
        backbone = make_backbone("bigram" if causal else "huggingface", esm_folder)
    assert isinstance(learner, Method) and isinstance(backbone, Backbone)
    metrics = [find(name) for name in task.metrics]
    if task_name not in NARROW.get(method, set(EMBEDDED) - set(UNLEARNED)):
        message = "scores the likelihood of residues by the language model itself"
        names = f"(method={method}|{type(learner).__name__})"
        message = message if task_name in UNLEARNED else f"{names} (scores|predicts|makes)"
        with pytest.raises(UserError, match=message):
            evaluate(task, splits, backbone, learner, metrics, 0)
        return
    first, second = (evaluate(task, splits, backbone, learner, metrics, 0) for _ in range(2))

    name, found = next(iter(first.tests.items()))
    assert set(task.metrics) - set(found.scores) <= {"mcc"}, (
        "undefined where one class is predicted"
    )
    assert found.scores == second.tests[name].scores
    assert found.intervals == second.tests[name].intervals
    for metric, (low, high) in found.intervals.items():
        assert low <= found.scores[metric] <= high or metric.endswith("long")


@pytest.mark.parametrize("task_name", ["pocket_ss8", "pocket_metal", "pocket_contact"])
def test_scores_do_not_depend_on_batches(task_name: str, esm_folder: Path) -> None:
    """Small and large batches, rows in another order: the same score within 1e-3."""
    task = make_task(task_name)
    splits = subset(embedded_splits(task_name), 20)
    turned = splits._replace(tests={"test": splits.tests["test"][::-1]})
    learner = instantiate(composed().method, _convert_="all")
    metrics = [find(task.metrics[0])]
    scores = []
    for tokens, part in ((8192, splits), (300, splits), (2000, turned)):
        backbone = make_backbone("huggingface", esm_folder, f"batch_tokens={tokens}")
        outcome = evaluate(task, part, backbone, learner, metrics, 0)
        scores.append(outcome.tests["test"].scores[task.metrics[0]])

    assert scores == pytest.approx([scores[0]] * 3, abs=1e-3)


@pytest.mark.parametrize(
    "method", sorted({*yaml_names("method")} - {"nearest", "natural", "shuffled"})
)
def test_methods_refuse_what_a_backbone_cannot_do(method: str) -> None:
    class Mute(Backbone):
        digest = "mute"

    task = make_task("pocket_metal")
    splits = subset(embedded_splits("pocket_metal"), 5)
    learner = instantiate(composed(f"method={method}").method, _convert_="all")

    with pytest.raises(UserError, match="the backbone Mute has none"):
        learner.fit(splits.train, splits.valid, FitContext(Mute(), task.readout, 0))

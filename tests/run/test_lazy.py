"""Backbones that are opened at first need: stored descriptions, and what they may not hide."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from benchmark.backbones.checkpoint import remembered
from benchmark.backbones.transformer import Transformer
from benchmark.cli.compose import build
from benchmark.core import Ability, Backbone, UserError
from benchmark.embedding.extraction import Embedder
from benchmark.embedding.store import Store, opened
from benchmark.run import lazy
from benchmark.run.code_digest import declared_version
from benchmark.run.execution import open_caches
from benchmark.run.lazy import ATTRIBUTES, LazyBackbone, describe, open_backbone
from tests.command_line import environment, run_cli
from tests.conftest import QUICK, composed, random_chain

CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([1, 30, 7, 150])]
PRINT_MODULES = """
import sys
from benchmark.cli.main import main
try:
    main()
finally:
    print("modules", *sorted(sys.modules))
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(str(tmp_path / "store"), 1.0) as found:
        assert found is not None
        token = remembered.set(found.digests)
        yield found
        remembered.reset(token)


class Opener:
    """Opens a model of conf/ through the store, and counts how often it is really opened."""

    def __init__(self, store: Store, model: str, *words: str) -> None:
        self.store, self.count = store, 0
        self.settings: Any = composed(f"model={model}", *words)

    def make(self) -> Backbone:
        self.count += 1
        backbone = build(self.settings.model)
        assert isinstance(backbone, Backbone)
        return backbone

    def __call__(self) -> Backbone:
        resolved: Any = OmegaConf.to_container(self.settings, resolve=True)
        return open_backbone(resolved["model"], self.make, self.store.digests)


@pytest.fixture
def tiny(store: Store, esm_folder: Path, tmp_path: Path) -> Opener:
    """A checkpoint that a test may change."""
    folder = shutil.copytree(esm_folder, tmp_path / "tiny")
    return Opener(store, "huggingface", f"model.path={folder}")


LACKED: dict[str, Ability] = {
    "huggingface": "sampling",
    "random": "contact_head",
    "pocket_clm_m": "masked_log_probs",
}


@pytest.mark.parametrize("model", LACKED)
def test_a_description_says_what_the_opened_model_says(
    model: str, store: Store, esm_folder: Path
) -> None:
    words = [f"model.path={esm_folder}"] if model == "huggingface" else []
    opener = Opener(store, model, *words)
    first, second = opener(), opener()
    kinds, target = (type(first), type(second)), opener.settings.model._target_
    refusals = []
    for backbone in (first, second):
        with pytest.raises(UserError) as refusal:
            backbone.require(LACKED[model], "this test")
        refusals.append(str(refusal.value))

    assert opener.count == 1 and isinstance(second, LazyBackbone)
    assert describe(second) == describe(first)
    assert declared_version(kinds[1], target) == declared_version(kinds[0], target)
    assert refusals[0] == refusals[1] and kinds[0].__name__ in refusals[0]


def test_a_missing_vector_opens_the_model_and_only_its_cost_counts(tiny: Opener) -> None:
    plain = tiny()
    before = dict(plain.usage())
    expected = plain.embed_residues(CHAINS[:1])
    cost = {name: total - before[name] for name, total in plain.usage().items()}
    assert cost["forward_flops"] > 0

    model = tiny()
    embedder = Embedder(model, open_caches(model, tiny.store, {}, "tiny"))
    assert tiny.count == 1
    before = dict(model.usage())
    (found,) = embedder.residues(CHAINS[:1])
    assert tiny.count == 2
    np.testing.assert_array_equal(found, expected[0])
    assert {name: total - before[name] for name, total in model.usage().items()} == cost

    model = tiny()
    embedder = Embedder(model, open_caches(model, tiny.store, {}, "tiny"))
    list(embedder.residues(CHAINS[:1]))
    assert tiny.count == 2, "a stored vector opens nothing"


def test_every_method_and_attribute_is_that_of_the_opened_model(tiny: Opener) -> None:
    plain, model = tiny(), tiny()
    assert isinstance(plain, Transformer) and isinstance(model, LazyBackbone)
    np.testing.assert_array_equal(model.contacts(CHAINS)[1], plain.contacts(CHAINS)[1])
    np.testing.assert_array_equal(model.embed_proteins(CHAINS), plain.embed_proteins(CHAINS))
    logs = [backbone.masked_log_probs(CHAINS)[3] for backbone in (plain, model)]
    np.testing.assert_array_equal(*logs)
    assert model.layers == plain.layers
    public = {name for name in vars(Backbone) if not name.startswith("_")}
    answered = {*ATTRIBUTES, "abilities", "require", "VERSION"}
    assert public - answered <= set(vars(LazyBackbone)), "each method of the contract is passed on"
    with pytest.raises(AttributeError):
        _ = model.no_such_thing
    assert tiny.count == 2, "opened once"


def weights_of(opener: Opener) -> Path:
    return Path(opener.settings.model.path) / "model.safetensors"


def overwrite(weights: Path) -> None:
    """Other weights in place."""
    content = bytearray(weights.read_bytes())
    content[-4000:] = content[-8000:-4000]
    weights.write_bytes(content)


def test_an_overwritten_checkpoint_is_opened(tiny: Opener) -> None:
    first = tiny()
    overwrite(weights_of(tiny))
    second = tiny()

    assert tiny.count == 2 and first.digest != second.digest
    assert isinstance(tiny(), LazyBackbone) and tiny().digest == second.digest


def test_a_file_beside_the_weights_opens_the_model_which_may_refuse_it(tiny: Opener) -> None:
    tiny()
    weights_of(tiny).with_name("adapter_model.safetensors").touch()
    with pytest.raises(InstantiationException, match="holds a model and an adapter"):
        tiny()
    assert tiny.count == 2


def test_a_checkpoint_that_changes_during_a_run_ends_it(tiny: Opener) -> None:
    tiny()
    model = tiny()
    overwrite(weights_of(tiny))
    with pytest.raises(UserError, match="the checkpoint has changed since this run began"):
        model.embed_proteins(CHAINS)


@pytest.mark.parametrize(
    "change",
    ["model.layer=1", "model.pooling=start", "dtype=bfloat16", "batch_tokens=999", "code", "torch"],
)
def test_other_settings_code_and_libraries_open_the_model(
    change: str, tiny: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny()
    if change == "code":
        monkeypatch.setattr(lazy, "own_digest", lambda: "edited")
    elif change == "torch":
        known = lazy.package_version
        monkeypatch.setattr(lazy, "package_version", lambda n: "9" if n == "torch" else known(n))
    else:
        path = tiny.settings.model.path
        tiny.settings = composed("model=huggingface", f"model.path={path}", change)
    assert isinstance(tiny(), Transformer) and tiny.count == 2
    assert isinstance(tiny(), LazyBackbone)


def test_a_gpu_is_part_of_what_is_known(tiny: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` may mean another device where there is a GPU, so torch resolves it."""
    tiny()
    monkeypatch.setattr(lazy, "place", lambda device, dtype: ["cuda:0", "torch.bfloat16", "H100"])
    assert isinstance(tiny(), Transformer)


def test_code_that_is_not_ours_is_always_opened(tiny: Opener) -> None:
    tiny.settings.model.trust_remote_code = True
    assert isinstance(tiny(), Transformer) and isinstance(tiny(), Transformer)

    ours = {"_target_": tiny.settings.model._target_}
    for settings in ({"_target_": "mypackage.length.Length"}, {**ours, "adapter": "DIR"}):
        for _ in range(2):
            assert isinstance(open_backbone(settings, tiny.make, tiny.store.digests), Transformer)
    assert tiny.count == 6


def record_of(results: Path) -> dict[str, Any]:
    """The Record of the only run, without what no two runs share."""
    (path,) = results.glob("toy/*/*/*/*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    assert record["usage"].pop("peak_bytes") > 0
    for name in ("created", "seconds"):
        del record[name]
    del record["config"]["results"]
    return record


REGRESSION = ["method=linear", "task.kind=regression", "task.size=1", "task.metrics=[rmse]"]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(["method=linear"], marks=pytest.mark.slow),
        REGRESSION,
        pytest.param(["method=mlp", *QUICK["mlp"]], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_warm_run_opens_no_model_and_leaves_the_same_record(
    given: list[str], tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    """In a new process; the Record is that of a run in this process, which opens the model."""
    words = ["--config-dir", str(toy_conf), "task=toy", "model=huggingface", "store=store"]
    words += [f"model.path={esm_folder}", *given]
    for results in ("cold", "opened"):
        shutil.rmtree(tmp_path / "store" / "digests", ignore_errors=True)
        done = run_cli(*words, f"results={results}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    command = [sys.executable, "-c", PRINT_MODULES, *words, "results=warm"]
    warm = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert warm.returncode == 0, warm.stderr
    (line,) = [line for line in warm.stdout.splitlines() if line.startswith("modules ")]

    heavy = {"transformers", "datasets", "matplotlib", "peft", "huggingface_hub"}
    heavy |= {"torch"} if "method=linear" in given else set()
    heavy |= {"sklearn"} if given is REGRESSION else set()
    assert not heavy & {name.partition(".")[0] for name in line.split()}
    record = record_of(tmp_path / "warm")
    assert record["usage"]["chains_embedded"] == 0
    assert record == record_of(tmp_path / "opened")
    tables = [next((tmp_path / r).glob("toy/*/*/*/*.parquet")) for r in ("warm", "opened", "cold")]
    assert len({table.read_bytes() for table in tables}) == 1

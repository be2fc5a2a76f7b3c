"""The embedding store: the same bits back, never another's, and no trouble that ends a run."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

from benchmark import store as stores
from benchmark.backbones import checkpoint
from benchmark.backbones.transformer import Transformer
from benchmark.core import Backbone, Method, Readout, UserError
from benchmark.embed import embed
from benchmark.evaluate import Outcome, evaluate, limited
from benchmark.metrics import find
from benchmark.run import keep_vectors
from benchmark.store import Shelf, Store, decode, encode, opened
from tests.conftest import (
    NARROW,
    ROOT,
    composed,
    make_backbone,
    make_task,
    random_chain,
    yaml_names,
)

Floats = np.ndarray[Any, np.dtype[np.float32]]
CHAINS = [random_chain(np.random.default_rng(i), n) for i, n in enumerate([1, 30, 7, 150, 30, 64])]
ROOMY = 1.0


def shelf(store: Store | None, group: str = "a", level: Any = "residue") -> Shelf:
    assert store is not None
    return store.shelf(level, group, {"model": group})


def vector(chain: str) -> Floats:
    """Numbers that only this chain has."""
    rng = np.random.default_rng(list(chain.encode()))
    return rng.standard_normal((40, 16)).astype(np.float32)


def fill(folder: Path, group: str, count: int, level: Any = "residue") -> Path:
    """A group of `count` vectors of 2.5 kB each; its folder."""
    with opened(str(folder), ROOMY) as store:
        chains = [f"C{i}" for i in range(count)]
        place = shelf(store, group, level)
        place.put(chains, [vector(chain) for chain in chains])
        assert place.database is not None
        return place.database.folder


def right(folder: Path, group: str, count: int, gigabytes: float = ROOMY) -> int:
    """How many of the chains are there; each must have its own vector."""
    with opened(str(folder), gigabytes) as store:
        found = [(f"C{i}", shelf(store, group).get(f"C{i}")) for i in range(count)]
    held = [(chain, kept) for chain, kept in found if kept is not None]
    assert all(np.array_equal(kept, vector(chain)) for chain, kept in held)
    return len(held)


@given(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=40).filter(lambda w: len(w) != 3),
    st.booleans(),
)
def test_every_bit_comes_back(words: list[int], short: bool) -> None:
    bits = np.array(words, "<u4") & (0xFFFF0000 if short else 0xFFFFFFFF)
    for shape in ((-1,), (1, -1)):
        array = bits.view("<f4").reshape(shape)
        value = encode(array)
        back = decode(bytearray(value))
        assert back.shape == array.shape
        np.testing.assert_array_equal(back.view("<u4"), array.view("<u4"))
        if short:
            assert len(value) < 16 + 2 * len(words), "bfloat16 takes half the space"


def at_work(backbone: Backbone, store: Store | None) -> Backbone:
    if store is not None:
        keep_vectors(backbone, store, {"layer": -1, "pooling": "mean"}, "tiny")
    return backbone


def outcome(task_name: str, backbone: Backbone) -> Outcome:
    task = make_task(task_name)
    learner = instantiate(composed().method, _convert_="all")
    splits = limited(task.load(), 30)
    return evaluate(task, splits, backbone, learner, [find(task.metrics[0])], 0)


@pytest.mark.parametrize("task_name", ["pocket_ss8", "pocket_metal", "pocket_contact"])
def test_warm_is_cold_and_needs_no_model(task_name: str, esm_folder: Path, tmp_path: Path) -> None:
    """Equal bits from the store, with a model that cannot be run any more."""
    with opened(str(tmp_path), ROOMY) as store:
        cold = outcome(task_name, at_work(make_backbone("huggingface", esm_folder), store))
    with opened(str(tmp_path), ROOMY) as store:
        backbone = at_work(make_backbone("huggingface", esm_folder), store)
        vars(backbone)["module"] = None
        warm = outcome(task_name, backbone)

    for a, b in zip(cold.tests["test"].predictions, warm.tests["test"].predictions, strict=True):
        np.testing.assert_array_equal(a, b)
    assert cold.tests["test"].scores == warm.tests["test"].scores
    assert backbone.store is not None
    assert sum(s.embedded for s in backbone.store.values()) == 0


@pytest.mark.parametrize("task_name", ["pocket_ss8", "pocket_metal"])
def test_a_store_filled_by_other_runs_moves_no_score(
    task_name: str, esm_folder: Path, tmp_path: Path
) -> None:
    """Half of the chains were embedded before, in batches of another size and order."""
    task = make_task(task_name)
    splits = limited(task.load(), 30)
    others = [e.chains[0] for part in (splits.train, splits.tests["test"]) for e in part][::-2]
    level: Any = task.readout.level
    with opened(str(tmp_path), ROOMY) as store:
        small = at_work(make_backbone("huggingface", esm_folder, "batch_tokens=700"), store)
        assert isinstance(small, Transformer)
        how = {"residue": small.embed_residues, "protein": lambda b: list(small.embed_proteins(b))}
        before = list(embed(how[level], small, level, others))
        mixed = outcome(task_name, at_work(make_backbone("huggingface", esm_folder), store))
    alone = make_backbone("huggingface", esm_folder)
    assert isinstance(alone, Transformer)
    how = {"residue": alone.embed_residues, "protein": lambda b: list(alone.embed_proteins(b))}
    for a, b in zip(before, embed(how[level], alone, level, others), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
    score = outcome(task_name, alone).tests["test"].scores[task.metrics[0]]

    assert mixed.tests["test"].scores[task.metrics[0]] == pytest.approx(score, abs=1e-3)


class Counted(Backbone):
    """Each residue is its letter and its chain's length; keeps the batches it was asked."""

    digest = "counted"
    batch_tokens = 100
    residue_dim = 2

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def embed_residues(self, chains: Sequence[str]) -> list[Floats]:
        self.batches.append(list(chains))
        return [np.array([[ord(c), len(chain)] for c in chain], np.float32) for chain in chains]


def test_what_is_missing_fills_whole_batches_in_any_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    chains = [random_chain(rng, int(n)) for n in rng.integers(5, 40, 600)]
    asked = [chains[i] for i in rng.integers(600, size=900)]
    plain, first, second = Counted(), Counted(), Counted()
    expected = list(embed(plain.embed_residues, plain, "residue", asked))
    with opened(str(tmp_path), ROOMY) as store:
        list(embed(first.embed_residues, at_work(first, store), "residue", chains[::2]))
        found = list(embed(second.embed_residues, at_work(second, store), "residue", asked))
    new = [chain for batch in second.batches for chain in batch]

    for chain, a, b in zip(asked, expected, found, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=chain)
    assert sorted(new) == sorted(set(asked) - set(chains[::2])), "each once, and no stored one"
    fullness = [sum(map(len, batch)) for batch in second.batches]
    assert np.mean(fullness) > 75, "of 100"


def test_groups_are_set_apart_by_all_that_decides(esm_folder: Path, tmp_path: Path) -> None:
    """By layer, dtype, pooling (of proteins), weights; not by path, batches or name."""
    copy = Path(shutil.copytree(esm_folder, tmp_path / "copies" / esm_folder.name))
    other = Path(shutil.copytree(esm_folder, tmp_path / "others" / esm_folder.name))
    weights = torch.nn.Linear(1, 1)  # any change of content
    torch.save(weights.state_dict(), tmp_path / "x")
    (other / "special_tokens_map.json").write_text('{"unk_token": "<unk>"}')

    def made(folder: Path, layer: int = -1, pooling: str = "mean", dtype: str = "float32") -> int:
        words = [f"model.layer={layer}", f"model.pooling={pooling}", f"dtype={dtype}"]
        backbone = make_backbone("huggingface", folder, *words)
        with opened(str(tmp_path / "store"), ROOMY) as store:
            assert store is not None
            keep_vectors(backbone, store, {"layer": layer, "pooling": pooling}, folder.name)
            assert isinstance(backbone, Transformer)
            list(embed(backbone.embed_residues, backbone, "residue", CHAINS))
            pool = backbone.embed_proteins
            list(embed(lambda batch: list(pool(batch)), backbone, "protein", CHAINS))
        return len(stores.groups(tmp_path / "store"))

    assert made(esm_folder) == 2
    assert made(copy) == 2, "the same content elsewhere"
    assert made(esm_folder, pooling="start") == 3
    assert made(esm_folder, layer=1) == 5
    assert made(esm_folder, dtype="bfloat16") == 7
    assert made(other) == 9, "other content under the same name"


WRITER = """
import sys
from pathlib import Path
from benchmark.store import opened
from tests.test_store import shelf, vector
folder, first, last, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with opened(folder, 1.0) as store:
    place = shelf(store)
    print("ready", flush=True)
    for start in range(first, last, 10):
        chains = [f"C{i}" for i in range(start, start + 10)]
        for chain, kept in zip(chains, place.put(chains, [vector(c) + own for c in chains])):
            stored = place.get(chain)
            assert stored is not None and (stored == kept).all(), chain
            assert any((kept == vector(chain) + x).all() for x in (0, 1, 2)), chain
"""


def start(code: str, *words: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True)


def test_processes_write_at_once_and_agree(tmp_path: Path) -> None:
    """Overlapping sets, different numbers: whoever was first is used by all."""
    writers = [start(WRITER, tmp_path, first, first + 400, own)
               for own, first in enumerate((0, 200, 100))]  # fmt: skip
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0 and not errors, errors
    with opened(str(tmp_path), ROOMY) as store:
        for i in range(600):
            kept = shelf(store).get(f"C{i}")
            assert kept is not None
            assert any(np.array_equal(kept, vector(f"C{i}") + own) for own in range(3))


def test_a_killed_writer_leaves_what_it_had_finished(tmp_path: Path) -> None:
    counts = []
    for _ in range(3):
        with start(WRITER, tmp_path, 0, 1_000_000, 0) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(0.5)
            writer.kill()
        counts.append(right(tmp_path, "a", 20_000))
    assert 0 < counts[0] <= counts[1] <= counts[2]

    assert right(fill(tmp_path, "a", 3000).parent, "a", 3000) == 3000


FULL = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
from tests.test_store import *
for _ in range(2):
    with opened(sys.argv[1], 1.0) as store:
        place = shelf(store)
        for i in range(200):
            (kept,) = place.put([f"C{i}"], [vector(f"C{i}")])
            assert np.array_equal(kept, vector(f"C{i}"))
"""


def test_a_full_disk_costs_nothing_that_was_there(tmp_path: Path) -> None:
    fill(tmp_path, "a", 30)
    with start(FULL, tmp_path) as writer:
        _, errors = writer.communicate(timeout=60)

    assert writer.returncode == 0, errors
    assert [line.split(" (")[0] for line in errors.splitlines()] == [
        f"store: nothing more is written to {stores.groups(tmp_path)[0].folder}"
    ] * 2, "once a run"
    assert 30 <= right(tmp_path, "a", 200) < 200
    fill(tmp_path, "a", 200)
    assert right(tmp_path, "a", 200) == 200


def test_half_of_the_disk_stays_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fill(tmp_path, "old", 50)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=300_000))
    fill(tmp_path, "new", 10)
    assert len(stores.groups(tmp_path)) == 1, "the old group made room"
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    fill(tmp_path, "other", 10)

    assert capsys.readouterr().err.count("half of what the disk has free") == 1
    assert right(tmp_path, "other", 10) == 0


def test_the_group_unused_for_longest_is_dropped(tmp_path: Path, capsys: Any) -> None:
    folders = [fill(tmp_path, name, 50) for name in "abc"]
    pooled = fill(tmp_path, "p", 200, "protein")
    for age, folder in zip((1000, 3000, 2000), folders, strict=True):
        stamp = time.time() - age
        os.utime(folder / "about.json", (stamp, stamp))
    size = sum((folder / "data.mdb").stat().st_size for folder in folders)
    with opened(str(tmp_path), size / 1e9) as store:
        chains = [f"D{i}" for i in range(20)]
        shelf(store, "d").put(chains, [vector(chain) for chain in chains])

    assert [folder.is_dir() for folder in folders] == [True, False, True], "b was the oldest"
    assert pooled.is_dir()
    assert not capsys.readouterr().err
    with opened(str(tmp_path), 1e-4) as store:
        place = shelf(store, "a")
        place.put(["E"], [vector("E")])
        assert place.get("E") is None, "it alone passes the limit: it stays as it is"
    assert right(tmp_path, "a", 50, 1e-4) == 50
    assert folders[2].is_dir(), "nothing is dropped in vain"
    assert "store_gb" in capsys.readouterr().err


def cut(data: bytearray) -> bytearray:
    return data[: len(data) // 2]


def zeroed(data: bytearray) -> bytearray:
    data[:8192] = bytes(8192)
    return data


def noisy(data: bytearray) -> bytearray:
    noise = np.random.default_rng(0).integers(256, size=len(data) - 8192)
    data[8192:] = noise.astype(np.uint8).tobytes()
    return data


def flipped(data: bytearray) -> bytearray:
    at = bytes(data).index(vector("C7").tobytes()[:64])
    data[at + 20] ^= 1
    return data


@pytest.mark.parametrize("damage", [cut, zeroed, noisy, flipped])
def test_damage_is_seen_and_mended(tmp_path: Path, damage: Any, capsys: Any) -> None:
    folder = fill(tmp_path, "a", 40)
    (folder / "data.mdb").write_bytes(damage(bytearray((folder / "data.mdb").read_bytes())))
    held = right(tmp_path, "a", 40)

    assert held == (39 if damage is flipped else 0)
    told = capsys.readouterr().err
    assert told.count("store: ") == (damage is not flipped)
    fill(tmp_path, "a", 40)
    assert right(tmp_path, "a", 40) == 40


def test_what_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    with opened(str(tmp_path), ROOMY) as store:
        shelf(store).put(["A"], [np.array([1, np.nan], np.float32)])
        assert "A" not in shelf(store)


def test_a_group_that_another_process_removes_is_read_on(tmp_path: Path, capsys: Any) -> None:
    folder = fill(tmp_path, "a", 20)
    with opened(str(tmp_path), ROOMY) as store:
        place = shelf(store)
        assert "C0" in place
        stores.clear(tmp_path, "all")
        with start(WRITER, tmp_path, 0, 40, 1) as other:
            _, errors = other.communicate(timeout=60)
            assert other.returncode == 0, errors
        kept = place.get("C1")
        assert kept is not None and np.array_equal(kept, vector("C1"))
        place.put(["D"], [vector("D")])
        place.put(["E"], [vector("E")])
        assert "D" not in place
    assert capsys.readouterr().err.count("another process removed it") == 1
    with opened(str(tmp_path), ROOMY) as store:
        kept = shelf(store).get("C39")
        assert kept is not None and np.array_equal(kept, vector("C39") + 1)
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}


class Mount(NamedTuple):
    """What psutil tells of one."""

    mountpoint: str
    fstype: str


@pytest.mark.parametrize("kind", ["nfs4", "lustre", "fuse.sshfs", "beegfs", "gpfs", "cifs"])
def test_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, kind: str
) -> None:
    mounts = [Mount("/", "ext4"), Mount(str(tmp_path), kind), Mount(str(tmp_path / "l"), "xfs")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    with (
        pytest.raises(UserError, match=f"network file system .{kind}.*; give a folder on a local"),
        opened(str(tmp_path / "s"), ROOMY),
    ):
        pass
    with opened(str(tmp_path / "l"), ROOMY) as store:
        assert store is not None
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with opened(None, ROOMY) as store:
        assert store is None, "the default is done without"
    assert f"({kind})" in capsys.readouterr().err


def test_the_default_folder_is_this_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with opened(None, ROOMY) as store:
        assert store is not None and store.folder.parent == tmp_path
    assert store.folder.stat().st_mode & 0o777 == 0o700
    store.folder.chmod(0o755)
    with opened(None, ROOMY) as none:
        assert none is None
    store.folder.rmdir()
    store.folder.symlink_to("/etc")
    with opened(None, ROOMY) as none:
        assert none is None
    assert capsys.readouterr().err.count("is not this user's alone") == 2


@pytest.fixture
def remembering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A memory of digests; the names of the files that are read in full."""
    read: list[str] = []
    whole = checkpoint.hashlib.file_digest
    monkeypatch.setattr(
        checkpoint.hashlib,
        "file_digest",
        lambda stream, kind: (read.append(Path(stream.name).name), whole(stream, kind))[1],
    )
    with opened(str(tmp_path / "store"), ROOMY) as store:
        assert store is not None
        checkpoint.remembered.set(store.digests)
        yield read
        checkpoint.remembered.set(None)


def test_a_checkpoint_is_hashed_once_until_it_changes(
    esm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembering: list[str]
) -> None:
    folder = Path(shutil.copytree(esm_folder, tmp_path / "copy"))
    weights = folder / "model.safetensors"
    first = checkpoint.digest_folder(folder)
    remembering.clear()
    assert checkpoint.digest_folder(folder) == first
    assert weights.name in remembering, "what has just changed may change again unseen"
    monkeypatch.setattr(checkpoint, "SETTLED", -1.0)
    checkpoint.digest_folder(folder)
    remembering.clear()
    assert checkpoint.digest_folder(folder) == first
    assert not remembering, "nothing was read"

    before = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = weights.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    changed = checkpoint.digest_folder(folder)
    assert changed != first
    assert remembering == [weights.name]
    checkpoint.remembered.set(None)
    assert checkpoint.digest_folder(folder) == changed, "as without a memory"


@pytest.mark.parametrize("name", yaml_names("method"))
def test_a_method_that_says_so_leaves_the_backbone_as_it_is(name: str, esm_folder: Path) -> None:
    method = instantiate(composed(f"method={name}").method, _convert_="all")
    assert isinstance(method, Method)
    if not method.frozen:
        pytest.skip("it has no store")
    backbone = make_backbone("huggingface", esm_folder)
    assert isinstance(backbone, Transformer)
    before = {key: value.clone() for key, value in backbone.module.state_dict().items()}
    if method.log_probs:
        variant = method.fit(backbone, Readout("variant", "real"), [], [], 0)
        assert len(list(variant.predict([("ACDW", "AADW")]))) == 1
        residues = method.fit(backbone, Readout("residue", "log_prob", context="both"), [], [], 0)
        assert len(list(residues.predict([("ACDW",)]))) == 1
    else:
        task = make_task(NARROW.get(name, ["pocket_metal"])[0])
        splits = limited(task.load(), 20)
        evaluate(task, splits, backbone, method, [find(task.metrics[0])], 0)
    after = backbone.module.state_dict()

    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def benchmark(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmark", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **environment}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


class Ran(NamedTuple):
    """What a run left."""

    cost: dict[str, Any]
    scores: dict[str, Any]
    predictions: bytes

    @property
    def counts(self) -> tuple[int, int]:
        """Chains from the store, and embedded."""
        return self.cost["chains_from_store"], self.cost["chains_embedded"]


def test_runs_share_embeddings(tmp_path: Path, toy_conf: Path, esm_folder: Path) -> None:
    """A second run, another seed, another layer, and new weights in the old place."""
    folder = Path(shutil.copytree(esm_folder, tmp_path / "last"))
    words = ("--config-dir", str(toy_conf), "task=toy", "model=huggingface", f"model.path={folder}")

    def run(name: str, *more: str, store: str = "store") -> Ran:
        results = tmp_path / name
        done = benchmark(*words, *more, f"results={results}", cwd=tmp_path, BENCHMARK_STORE=store)
        assert done.returncode == 0 and not done.stderr, done.stderr
        (path,) = results.glob("toy/*/*/*/*.json")
        record = json.loads(path.read_text())
        predictions = path.with_suffix(".parquet").read_bytes()
        return Ran(record["cost"], record["scores"], predictions)

    cold, warm = run("cold"), run("warm", "store_gb=3", "batch_tokens=999", "device=cpu")
    assert cold.counts == (0, 130)
    assert warm.counts == (130, 0)
    assert cold.cost["forward_flops"] > 1e6 and cold.cost["chains"] == 130
    assert warm.cost["forward_flops"] == warm.cost["chains"] == 0, "what is read costs nothing"
    assert warm.scores == cold.scores and warm.predictions == cold.predictions
    assert run("seed", "seed=1").counts == (130, 0)
    listed = benchmark("store", "store=store", cwd=tmp_path).stdout
    assert " -1 mean  float32  last       130 " in listed

    weights = folder / "model.safetensors"
    before = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-4000:] = content[-8000:-4000]
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed, off = run("changed"), run("off", "store=off")
    assert changed.counts == (0, 130)
    assert "chains_embedded" not in off.cost
    assert changed.scores == off.scores and changed.predictions == off.predictions
    assert changed.predictions != cold.predictions
    assert len(stores.groups(tmp_path / "store")) == 2

    group = stores.groups(tmp_path / "store")[0].folder
    benchmark("store", "store=store", f"clear={group.name}", cwd=tmp_path)
    assert not group.exists() and len(stores.groups(tmp_path / "store")) == 1
    told = benchmark("store", "store=store", "clear=protein-1", cwd=tmp_path)
    assert "group 'protein-1' is not known" in told.stderr and told.returncode == 1
    assert "0.000 GB" in benchmark("store", "store=store", "clear=all", cwd=tmp_path).stdout
    assert not list((tmp_path / "store").iterdir())


def test_a_method_that_may_train_the_backbone_has_no_store(
    tmp_path: Path, toy_conf: Path, esm_folder: Path
) -> None:
    (tmp_path / "mine2.py").write_text(
        "from benchmark.methods.linear import Linear\nclass Tuned(Linear):\n    frozen = False\n"
    )
    (toy_conf / "method").mkdir()
    yaml = (ROOT / "conf" / "method" / "linear.yaml").read_text()
    (toy_conf / "method" / "tuned.yaml").write_text(
        yaml.replace("benchmark.methods.linear.Linear", "mine2.Tuned")
    )
    done = benchmark(
        "--config-dir", str(toy_conf), "task=toy", "method=tuned", "model=huggingface",
        f"model.path={esm_folder}", "store=store", cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert not stores.groups(tmp_path / "store")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["store=/proc/none"], "cannot write to store=/proc/none"),
        (["store="], "store= is not allowed; give a folder"),
        (["store=true"], "store=True is not allowed"),
        (["store_gb=-1"], "store_gb=-1 is not allowed"),
        (["store_gb=lots"], "store_gb=lots is not allowed"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, words: list[str], told: str) -> None:
    done = benchmark(*words, cwd=tmp_path)

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert told in line

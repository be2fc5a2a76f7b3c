"""The embedding store: the same bits back, never another's, and no trouble that ends a run."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.backbones import checkpoint
from benchmark.embedding import store as stores
from benchmark.embedding.store import EmbeddingCache, Store, decode, encode, opened
from tests.conftest import ROOT

Floats = np.ndarray[Any, np.dtype[np.float32]]
ROOMY = 1.0


def cache(store: Store | None, group: str = "a", level: Any = "residue") -> EmbeddingCache:
    assert store is not None
    return store.cache(level, group, {"model": group})


def vector(chain: str) -> Floats:
    """Numbers that only this chain has."""
    rng = np.random.default_rng(list(chain.encode()))
    return rng.standard_normal((40, 16)).astype(np.float32)


def fill(folder: Path, group: str, count: int, level: Any = "residue") -> Path:
    """A group of `count` vectors of 2.5 kB each; its folder."""
    with opened(str(folder), ROOMY) as store:
        chains = [f"C{i}" for i in range(count)]
        place = cache(store, group, level)
        place.put(chains, [vector(chain) for chain in chains])
        assert place.database is not None
        return place.database.folder


def right(folder: Path, group: str, count: int, gigabytes: float = ROOMY) -> int:
    """How many of the chains are there; each must have its own vector."""
    with opened(str(folder), gigabytes) as store:
        found = [(f"C{i}", cache(store, group).get(f"C{i}")) for i in range(count)]
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


WRITER = """
import sys
from pathlib import Path
from benchmark.embedding.store import opened
from tests.embedding.test_store import cache, vector
folder, first, last, own = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with opened(folder, 1.0) as store:
    place = cache(store)
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


@pytest.mark.slow
def test_processes_write_at_once_and_agree(tmp_path: Path) -> None:
    """Overlapping sets, different numbers: whoever was first is used by all."""
    writers = [start(WRITER, tmp_path, first, first + 400, own)
               for own, first in enumerate((0, 200, 100))]  # fmt: skip
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0 and not errors, errors
    with opened(str(tmp_path), ROOMY) as store:
        for i in range(600):
            kept = cache(store).get(f"C{i}")
            assert kept is not None
            assert any(np.array_equal(kept, vector(f"C{i}") + own) for own in range(3))


@pytest.mark.slow
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
from tests.embedding.test_store import *
for _ in range(2):
    with opened(sys.argv[1], 1.0) as store:
        place = cache(store)
        for i in range(200):
            (kept,) = place.put([f"C{i}"], [vector(f"C{i}")])
            assert np.array_equal(kept, vector(f"C{i}"))
"""


@pytest.mark.slow
def test_a_full_disk_costs_nothing_that_was_there(tmp_path: Path) -> None:
    fill(tmp_path, "a", 30)
    with start(FULL, tmp_path) as writer:
        _, errors = writer.communicate(timeout=60)

    assert writer.returncode == 0, errors
    assert [line.split(" (")[0] for line in errors.splitlines()] == [
        f"store: no more writes to {stores.groups(tmp_path)[0].folder}"
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

    assert capsys.readouterr().err.count("half of the free disk space") == 1
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
        cache(store, "d").put(chains, [vector(chain) for chain in chains])

    assert [folder.is_dir() for folder in folders] == [True, False, True], "b was the oldest"
    assert pooled.is_dir()
    assert not capsys.readouterr().err
    with opened(str(tmp_path), 1e-4) as store:
        place = cache(store, "a")
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
    message = capsys.readouterr().err
    assert message.count("store: ") == (damage is not flipped)
    fill(tmp_path, "a", 40)
    assert right(tmp_path, "a", 40) == 40


def test_what_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    with opened(str(tmp_path), ROOMY) as store:
        cache(store).put(["A"], [np.array([1, np.nan], np.float32)])
        assert "A" not in cache(store)


@pytest.mark.slow
def test_a_group_that_another_process_removes_is_read_on(tmp_path: Path, capsys: Any) -> None:
    folder = fill(tmp_path, "a", 20)
    with opened(str(tmp_path), ROOMY) as store:
        place = cache(store)
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
        kept = cache(store).get("C39")
        assert kept is not None and np.array_equal(kept, vector("C39") + 1)
    assert {path.name for path in tmp_path.iterdir()} == {folder.name}


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

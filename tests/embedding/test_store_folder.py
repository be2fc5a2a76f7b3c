"""The folder of the embedding store: on a local disk, of one user."""

from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from benchmark.core import UserError
from benchmark.embedding.store import folder_of, opened
from tests.embedding.test_store import ROOMY


class Mount(NamedTuple):
    """What psutil reports of a partition."""

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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "l"))
    with opened(None, ROOMY) as store:
        assert store is not None and store.folder.parent == tmp_path / "l", "of the default"
    sentence = capsys.readouterr().err
    assert f"({kind})" in sentence and f"until then {store.folder} is used" in sentence
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with opened(None, ROOMY) as store:
        assert store is None, "both defaults are on a network"
    assert "continues without a store" in capsys.readouterr().err


def test_the_default_folder_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for base in ("", "relative"):  # the specification ignores a relative one
        monkeypatch.setenv("XDG_CACHE_HOME", base)
        assert folder_of(None) == tmp_path / ".cache" / "plm-benchmark"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with opened(None, ROOMY) as store:
        assert store is not None and store.folder == tmp_path / "cache" / "plm-benchmark"
    store.folder.rename(tmp_path / "large-disk")
    store.folder.symlink_to(tmp_path / "large-disk")
    assert folder_of(None) == tmp_path / "large-disk"
    assert not capsys.readouterr().err


def test_the_default_folder_is_this_users_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with opened(None, ROOMY) as store:
        assert store is not None and store.folder.parent == tmp_path
    assert "cannot write to store=/proc/none/plm-benchmark" in capsys.readouterr().err
    assert store.folder.stat().st_mode & 0o777 == 0o700
    store.folder.chmod(0o755)
    with opened(None, ROOMY) as none:
        assert none is None
    store.folder.rmdir()
    store.folder.symlink_to("/etc")
    with opened(None, ROOMY) as none:
        assert none is None
    assert capsys.readouterr().err.count("other users can access") == 2

"""A key-value database on disk (lmdb) with checksums.

It is a cache: a failure is reported in one sentence on stderr and costs time, but never stops the
run or returns a wrong value. Several processes may use it at once; a killed process or a full disk
loses the last transaction only.
"""

import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import lmdb

from benchmark.files import replacing

T = TypeVar("T")
MAP_SIZE = 1 << 40
"""Bytes of address space for an environment, more than any disk; nothing is allocated.

The same for all processes: one with a smaller map could not open a larger environment."""
LOCK_SIZE = 8192
"""Bytes of lmdb's lock file at its default of 126 readers."""
PAGE = 4096
"""Approximate upper bound of the overhead of one value, in bytes."""
ABOUT = "about.json"
DATA = "data.mdb"
DAMAGE = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)


class Database:
    """The open database in a folder.

    room: called before each transaction; whether so many more bytes are allowed.
    """

    def __init__(self, folder: Path, room: Callable[[int], bool]) -> None:
        self.folder = folder
        self._room = room
        self._writes = True
        env = lmdb.open(str(folder), map_size=MAP_SIZE, create=False)
        state = (folder / DATA).stat()
        if state.st_size < (env.info()["last_pgno"] + 1) * env.stat()["psize"]:
            env.close()  # reading a truncated page would kill the process
            raise lmdb.CorruptedError("the file is truncated")
        env.reader_check()
        self._env: lmdb.Environment | None = env
        self._inode = state.st_ino

    def __contains__(self, key: bytes) -> bool:
        return self._read(key, lambda stored: True) is not None

    def get(self, key: bytes) -> bytearray | None:
        """The value of a key; None if it is absent or its checksum is wrong."""
        return self._read(key, lambda stored: unsealed(key, stored))

    def _read(self, key: bytes, use: Callable[[memoryview], T | None]) -> T | None:
        if self._env is None:
            return None
        try:
            with self._env.begin(buffers=True) as txn:
                stored = txn.get(key)
                return None if stored is None else use(memoryview(stored))
        except lmdb.Error as error:
            self._give_up(error)
            return None

    def add(self, items: Mapping[bytes, bytes]) -> dict[bytes, bytearray]:
        """Write new values in one transaction; return existing ones, which do not change."""
        before: dict[bytes, bytearray] = {}
        if self._env is None or not self._writes:
            return before
        try:
            if not self._room(sum(len(value) + PAGE for value in items.values())):
                raise OSError("store_gb, or half of the free disk space, is used up")
            if (self.folder / DATA).stat().st_ino != self._inode:
                raise OSError("another process removed it")
            with self._env.begin(write=True) as txn:
                for key, value in items.items():
                    stored = txn.get(key)
                    if stored and (held := unsealed(key, memoryview(stored))) is not None:
                        before[key] = held
                    else:
                        txn.put(key, sealed(key, value))
            os.utime(self.folder / ABOUT)  # the time of last use
        except (lmdb.Error, OSError) as error:
            self._writes = False
            if isinstance(error, DAMAGE):
                self._give_up(error)
            else:
                warn(f"no more writes to {self.folder} ({error}); the run continues")
        return before

    def _give_up(self, error: lmdb.Error) -> None:
        self.close()
        if isinstance(error, DAMAGE):
            discard(self.folder)
        warn(f"{self.folder} cannot be read ({error}); the run continues without it")

    @property
    def closed(self) -> bool:
        """Whether it was closed, for example after damage."""
        return self._env is None

    def close(self) -> None:
        """Close the files."""
        if self._env is not None:
            self._env.close()
            self._env = None


def open_database(
    folder: Path, about: Mapping[str, Any], room: Callable[[int], bool]
) -> Database | None:
    """Open a database; create it if it is absent, and again if it is damaged."""
    try:
        make(folder, about)
        try:
            database = Database(folder, room)
        except DAMAGE as error:
            discard(folder)
            warn(f"{folder} was damaged and is created again ({error})")
            make(folder, about)
            database = Database(folder, room)
        os.utime(folder / ABOUT)
        return database
    except (lmdb.Error, OSError) as error:
        warn(f"{folder} cannot be used ({error}); the run continues without it")
        return None


def make(folder: Path, about: Mapping[str, Any]) -> None:
    """Create a database's folder atomically, if it is absent.

    The lock file is written in full: lmdb would leave it sparse, and on a full disk a process that
    touches a hole of a mapped file is killed.
    """
    if folder.is_dir():
        return
    new = folder.with_name(f".new-{uuid4().hex}")
    try:
        new.mkdir()
        (new / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        (new / "lock.mdb").write_bytes(bytes(LOCK_SIZE))
        with suppress(OSError):  # another process created it first
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def read_about(folder: Path) -> dict[str, Any]:
    """The description of a database; empty if it is absent."""
    with suppress(OSError, ValueError):
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return about
    return {}


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Replace the description, if the database still exists."""
    with suppress(OSError), replacing(folder / ABOUT) as file:
        file.write_text(json.dumps(about, indent=1), encoding="utf-8")


def discard(folder: Path) -> None:
    """Remove a database atomically; processes that have it open continue with their files."""
    old = folder.with_name(f".old-{uuid4().hex}")
    with suppress(FileNotFoundError):
        folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def warn(sentence: str) -> None:
    """Report a problem of the store on stderr."""
    print(f"store: {sentence}", file=sys.stderr)


def sealed(key: bytes, value: bytes) -> bytes:
    """A value preceded by a checksum of key and value."""
    return zlib.crc32(value, zlib.crc32(key)).to_bytes(4, "little") + value


def unsealed(key: bytes, stored: memoryview) -> bytearray | None:
    """The value; None if its checksum is wrong."""
    value = stored[4:]
    right = stored[:4] == zlib.crc32(value, zlib.crc32(key)).to_bytes(4, "little")
    return bytearray(value) if right else None

"""A database on disk: an lmdb environment of values that are checked when they are read.

It is a cache: whatever goes wrong with it is told in one sentence on stderr, and costs time but
neither the run nor a right value. Several processes read and write it at once; a process that is
killed, or a disk that is full, takes back the last transaction and nothing else.
"""

import json
import os
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import lmdb

from benchmark.files import replacing

MAP_SIZE = 1 << 40
"""Bytes of address space for an environment: larger than a node's disk, and nothing but a number.

One size for all: an environment that outgrows the map of another process would shut that out."""
LOCK_SIZE = 8192
"""Bytes of lmdb's lock file at its default of 126 readers."""
PAGE = 4096
"""The most bytes that storing a value takes besides its own, about."""
ABOUT = "about.json"
DATA = "data.mdb"
DAMAGE = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)


class Database:
    """The open database in a folder.

    room: asked before each transaction whether there is room for so many bytes.
    """

    def __init__(self, folder: Path, room: Callable[[int], bool]) -> None:
        self.folder = folder
        self._room = room
        self._writes = True
        env = lmdb.open(str(folder), map_size=MAP_SIZE, create=False)
        state = (folder / DATA).stat()
        if state.st_size < (env.info()["last_pgno"] + 1) * env.stat()["psize"]:
            env.close()  # a process that reads a page that was cut off is killed
            raise lmdb.CorruptedError("its end is missing")
        env.reader_check()
        self._env: lmdb.Environment | None = env
        self._inode = state.st_ino

    def __contains__(self, key: bytes) -> bool:
        return self._read(key, lambda stored: True) is not None

    def get(self, key: bytes) -> bytearray | None:
        """The value of a key, if it is there and as it was written."""
        value: bytearray | None = self._read(key, lambda stored: unsealed(key, stored))
        return value

    def _read(self, key: bytes, use: Callable[[memoryview], Any]) -> Any:
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
        """Write new values in one transaction; return those that were there before, and stay."""
        before: dict[bytes, bytearray] = {}
        if self._env is None or not self._writes:
            return before
        try:
            if not self._room(sum(len(value) + PAGE for value in items.values())):
                raise OSError("store_gb, or half of what the disk has free, is used up")
            if (self.folder / DATA).stat().st_ino != self._inode:
                raise OSError("another process removed it")
            with self._env.begin(write=True) as txn:
                for key, value in items.items():
                    stored = txn.get(key)
                    if stored and (held := unsealed(key, memoryview(stored))) is not None:
                        before[key] = held
                    else:
                        txn.put(key, sealed(key, value))
            touch(self.folder)
        except (lmdb.Error, OSError) as error:
            self._writes = False
            if isinstance(error, DAMAGE):
                self._give_up(error)
            else:
                tell(f"nothing more is written to {self.folder} ({error}); the run goes on")
        return before

    def _give_up(self, error: lmdb.Error) -> None:
        self.close()
        if isinstance(error, DAMAGE):
            discard(self.folder)
        tell(f"{self.folder} cannot be read ({error}); the run goes on without")

    @property
    def closed(self) -> bool:
        """Whether it was closed, as after damage."""
        return self._env is None

    def close(self) -> None:
        """Let go of the files."""
        if self._env is not None:
            self._env.close()
            self._env = None


def open_database(
    folder: Path, about: Mapping[str, Any], room: Callable[[int], bool]
) -> Database | None:
    """Open a database; make it if it is not there, and anew if it is damaged."""
    try:
        make(folder, about)
        try:
            database = Database(folder, room)
        except DAMAGE as error:
            discard(folder)
            tell(f"{folder} was damaged and is made anew ({error})")
            make(folder, about)
            database = Database(folder, room)
        touch(folder)
        return database
    except (lmdb.Error, OSError) as error:
        tell(f"{folder} cannot be used ({error}); the run goes on without")
        return None


def make(folder: Path, about: Mapping[str, Any]) -> None:
    """Let a database's folder appear at once and complete, if it is not there.

    Its lock file is written in full: lmdb would leave holes in it, and a process is killed that
    touches a hole of a mapped file when the disk is full.
    """
    if folder.is_dir():
        return
    new = folder.with_name(f".new-{uuid4().hex}")
    try:
        new.mkdir()
        (new / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        (new / "lock.mdb").write_bytes(bytes(LOCK_SIZE))
        with suppress(OSError):  # another process was first
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def read_about(folder: Path) -> dict[str, Any]:
    """What is written of a database; nothing where it is not there."""
    with suppress(OSError, ValueError):
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return about
    return {}


def write_about(folder: Path, about: Mapping[str, Any]) -> None:
    """Write it anew, if the database is still there."""
    with suppress(OSError), replacing(folder / ABOUT) as file:
        file.write_text(json.dumps(about, indent=1), encoding="utf-8")


def discard(folder: Path) -> None:
    """Remove a database at once; who has it open goes on with its own files until it is closed."""
    old = folder.with_name(f".old-{uuid4().hex}")
    with suppress(FileNotFoundError):
        folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def touch(folder: Path) -> None:
    """Note that a database is in use now."""
    os.utime(folder / ABOUT)


def tell(sentence: str) -> None:
    """Say on stderr what is wrong with the store."""
    print(f"store: {sentence}", file=sys.stderr)


def sealed(key: bytes, value: bytes) -> bytes:
    """A value behind its checksum, which knows the key."""
    return zlib.crc32(value, zlib.crc32(key)).to_bytes(4, "little") + value


def unsealed(key: bytes, stored: memoryview) -> bytearray | None:
    """The value, if its checksum is right; else it counts as missing."""
    value = stored[4:]
    right = stored[:4] == zlib.crc32(value, zlib.crc32(key)).to_bytes(4, "little")
    return bytearray(value) if right else None

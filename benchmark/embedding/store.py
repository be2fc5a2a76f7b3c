"""The embedding store: a frozen backbone embeds a sequence once, whatever the task, seed or run.

    <store>/protein-<digest>/   a vector for each protein
    <store>/residue-<digest>/   a vector for each residue
    <store>/digests/            digests of the files of checkpoints

A group is named by the digest of all that decides its vectors besides the sequence, and an entry by
the sequence's: what changes is not found again. Groups of residue vectors are large: the longest
unused are dropped, whole, when they pass a size. The folder is on a disk of this machine.
"""

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np
from numpy.typing import NDArray

from benchmark.core import Level, UserError, unknown
from benchmark.embedding.database import (
    ABOUT,
    DATA,
    Database,
    discard,
    open_database,
    read_about,
    tell,
    write_about,
)
from benchmark.embedding.rounding import ROUNDING, distance

Float32 = NDArray[np.float32]

CHECKED_WITH = "checked with"
"""In a group's description: the code and libraries that gave its vectors when it was last tried."""
CANARIES = "canaries"
"""In a group's description: two of its chains, which are embedded again after a change of those."""
FORMAT = 2
"""Raised when entries are written in another way: then older groups are not found again."""
CHUNK = 64_000_000
"""Bytes of one transaction, which lie in memory until it ends."""
HEADER = struct.Struct("<HHII")
"""Bits of a number (32, or 16 where the lower halves are all zero), dimensions, shape."""
NETWORK = (
    "afpfs", "afs", "auristor", "beegfs", "blobfuse", "ceph", "cifs", "davfs", "gcsfuse", "gluster",
    "goofys", "gpfs", "juicefs", "lustre", "nfs", "orangefs", "panfs", "pvfs", "rclone", "s3fs",
    "smb", "sshfs", "webdav", "weka",
)  # fmt: skip
"""First letters of the types of file systems that span machines: lmdb's locks do not."""


class EmbeddingCache:
    """The vectors of one backbone and level, float32; they come back bit for bit.

    about: JSON of what a user wants to know of them, and the code and libraries that run now.
    """

    def __init__(
        self, folder: Path, about: Mapping[str, Any], open_it: Callable[[], Database | None]
    ) -> None:
        self._folder, self._about, self._open = folder, about, open_it
        self.found = self.embedded = 0

    @cached_property
    def database(self) -> Database | None:
        """Opened when it is first asked for, so that a run touches only what it uses."""
        return self._open()

    def verify(self, embed: Callable[[Sequence[str]], Sequence[Float32]], dtype: str) -> None:
        """Where code or libraries have changed since, embed two stored chains again and compare.

        A difference beyond rounding starts the group anew.
        """
        about = read_about(self._folder)
        now, chains = self._about[CHECKED_WITH], about.get(CANARIES, [])
        if about.get(CHECKED_WITH) == now or not chains or self.database is None:
            return
        stored = [self.database.get(key_of(chain)) for chain in chains]
        before = [decode(value) for value in stored if value is not None]
        if len(before) == len(chains) and distance(embed(chains), before) <= ROUNDING[dtype]:
            write_about(self._folder, {**about, CHECKED_WITH: now})
            return
        tell(
            f"{self._folder.name} holds other vectors than today's code and libraries give; "
            "it is started anew"
        )
        self.database.close()
        discard(self._folder)
        self.database = self._open()

    def __contains__(self, chain: str) -> bool:
        return self.database is not None and key_of(chain) in self.database

    def get(self, chain: str) -> Float32 | None:
        """The vector of a chain, or None."""
        value = self.database.get(key_of(chain)) if self.database else None
        if value is None:
            return None
        self.found += 1
        return decode(value)

    def put(self, chains: Sequence[str], vectors: Sequence[Float32]) -> list[Float32]:
        """Keep new vectors; where another run was first, its own come back and are to be used."""
        self.embedded += len(chains)
        kept = dict(zip(map(key_of, chains), vectors, strict=True))
        for items in self._transactions(kept):
            before = self.database.add(items) if self.database else {}
            kept |= {key: decode(value) for key, value in before.items()}
        about = read_about(self._folder)
        if chains and self.database and CANARIES not in about:
            write_about(self._folder, {**about, CANARIES: sorted(chains, key=len)[:2]})
        return [kept[key_of(chain)] for chain in chains]

    def _transactions(self, vectors: Mapping[bytes, Float32]) -> Iterator[dict[bytes, bytes]]:
        items: dict[bytes, bytes] = {}
        size = 0
        for key, vector in vectors.items():
            if np.isfinite(vector).all():  # what a device computed wrongly once must not last
                items[key] = encode(vector)
                size += len(items[key])
            if size > CHUNK:
                yield items
                items, size = {}, 0
        yield items


class Group(NamedTuple):
    """A group on disk, as it is seen from outside."""

    folder: Path
    level: str
    size: int
    """Bytes."""
    used: float
    """Time it was last opened or written to, in seconds since 1970."""

    def about(self) -> dict[str, Any]:
        """Its model and settings."""
        return read_about(self.folder)

    def entries(self) -> int | None:
        """Its number of vectors, or None if it is damaged."""
        try:
            with lmdb.open(str(self.folder), readonly=True, create=False, lock=False) as env:
                return env.stat()["entries"]
        except lmdb.Error:
            return None


class Store:
    """The open store: at most `gigabytes` of residue vectors, and never more than is free."""

    def __init__(self, folder: Path, gigabytes: float) -> None:
        self.folder = folder
        self.gigabytes = gigabytes
        self._databases: dict[str, Database | None] = {}
        for old in folder.glob(".old-*"):  # a process was killed while it removed them
            shutil.rmtree(old, ignore_errors=True)

    @property
    def digests(self) -> Database | None:
        """Digests of files, by what the file system tells of them."""
        return self._database("digests", {})

    def shelf(self, level: Level, decides: Any, about: Mapping[str, Any]) -> EmbeddingCache:
        """The place of a backbone's vectors.

        decides: JSON of all that decides them besides the sequence.
        about: JSON of what a user wants to know of them.
        """
        text = json.dumps([FORMAT, level, decides], sort_keys=True)
        name = f"{level}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        return EmbeddingCache(self.folder / name, about, lambda: self._database(name, about))

    def _database(self, name: str, about: Mapping[str, Any]) -> Database | None:
        known = self._databases.get(name)
        if name not in self._databases or (known and known.closed):  # lmdb opens a file but once
            room = partial(self._make_room, name)
            self._databases[name] = open_database(self.folder / name, about, room)
        return self._databases[name]

    def _make_room(self, name: str, size: int) -> bool:
        """Drop residue groups, the longest unused first, until `size` more bytes are allowed."""
        cap = self.gigabytes * 1e9 if name.startswith("residue") else float("inf")
        while True:
            all_groups = groups(self.folder)
            residue = [group for group in all_groups if group.level == "residue"]
            spare = [group for group in residue if group.folder.name not in self._databases]
            taken = sum(group.size for group in residue)
            total, free = sum(g.size for g in all_groups), shutil.disk_usage(self.folder).free
            if taken + size <= cap and total + size <= free - size:
                return True
            if not spare or taken + size - sum(group.size for group in spare) > cap:
                return False
            discard(spare[0].folder)

    def close(self) -> None:
        """Close every database."""
        for database in filter(None, self._databases.values()):
            database.close()


@contextmanager
def opened(setting: str | None, gigabytes: float) -> Iterator[Store | None]:
    """The store that `store=` names; None where it is off.

    A folder that cannot be used is an error where it was named; the default is done without.
    """
    store = None
    if setting != "off":
        try:
            store = Store(prepared(setting), gigabytes)
        except UserError as error:
            if setting:
                raise
            tell(f"{error}; the run goes on without")
    try:
        yield store
    finally:
        if store:
            store.close()


def folder_of(setting: object) -> Path:
    """The folder that `store=` names: the user's own on this machine if it is not given."""
    if setting in (False, "off"):
        raise UserError("store=off is no store; give the folder of one")
    default = Path(tempfile.gettempdir(), f"plm-benchmark-{os.getuid()}")
    return Path(str(setting)).expanduser() if setting else default


def prepared(setting: str | None) -> Path:
    """Make the store's folder; refuse a network file system, and a default that is not ours."""
    folder = folder_of(setting)
    if kind := network(folder):
        raise UserError(
            f"store={folder} is on a network file system ({kind}), where several machines would "
            "damage it; give a folder on a local disk, or store=off"
        )
    try:
        folder.mkdir(mode=0o777 if setting else 0o700, parents=True, exist_ok=True)
        state = folder.lstat()
        if not setting and (state.st_uid != os.getuid() or state.st_mode & 0o077):
            raise UserError(f"{folder} is not this user's alone; give store=DIR, or store=off")
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"cannot write to store={folder} ({error.strerror}); give another folder, or store=off"
        ) from None
    return folder


def network(folder: Path) -> str | None:
    """The type of the file system that a folder is on, if it spans machines."""
    import psutil

    path = folder.resolve()
    on = 0, ""
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        if path.is_relative_to(mount) and len(mount.parts) >= on[0]:
            on = len(mount.parts), partition.fstype.lower()
    return on[1] if on[1].removeprefix("fuse.").startswith(NETWORK) else None


def groups(folder: Path) -> list[Group]:
    """What is stored in a folder, the longest unused first."""
    found = []
    for level in ("protein", "residue"):
        for path in folder.glob(f"{level}-*"):
            with suppress(FileNotFoundError):  # another process may drop it meanwhile
                size, used = (path / DATA).stat().st_size, (path / ABOUT).stat().st_mtime
                found.append(Group(path, level, size, used))
    return sorted(found, key=lambda group: group.used)


def clear(folder: Path, name: str) -> None:
    """Remove a group, or "all" that the store holds."""
    known = [group.folder.name for group in groups(folder)]
    if name == "all":
        for path in (*map(folder.joinpath, known), folder / "digests", *folder.glob(".new-*")):
            discard(path)
    elif name in known:
        discard(folder / name)
    else:
        raise unknown("group", name, ["all", *known])


def key_of(chain: str) -> bytes:
    """128-bit digest of a sequence."""
    return hashlib.blake2b(chain.encode(), digest_size=16).digest()


def encode(vector: Float32) -> bytes:
    """Shape and numbers; those of bfloat16 models take 16 bits each."""
    words = np.ascontiguousarray(vector, dtype="<f4").view("<u4")
    short = not (words & 0xFFFF).any()
    header = HEADER.pack(16 if short else 32, vector.ndim, *(*vector.shape, 0)[:2])
    return header + ((words >> 16).astype("<u2") if short else words).tobytes()


def decode(value: bytearray) -> Float32:
    """The array that was encoded."""
    bits, dimensions, *shape = HEADER.unpack_from(value)
    words = np.frombuffer(value, f"<u{bits // 8}", offset=HEADER.size)
    if bits == 16:
        words = words.astype("<u4") << 16
    return words.view("<f4").reshape(shape[:dimensions])

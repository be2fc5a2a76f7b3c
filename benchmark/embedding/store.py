"""The embedding store: a frozen backbone embeds a sequence once for all tasks, seeds and runs.

    <store>/protein-<digest>/   a vector for each protein
    <store>/residue-<digest>/   a vector for each residue
    <store>/digests/            digests of the files of checkpoints, descriptions of models

A group is named by the digest of everything that determines its vectors except the sequence, an
entry by the digest of the sequence. Residue groups are large: beyond a size limit the least
recently used ones are deleted as a whole. The folder must be on a local disk.
"""

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
import numpy as np

from benchmark.core import Float32, Level, UserError, unknown
from benchmark.embedding.database import (
    ABOUT,
    DATA,
    Database,
    discard,
    open_database,
    read_about,
    warn,
    write_about,
)
from benchmark.embedding.rounding import ROUNDING, distance

CHECKED_WITH = "checked with"
"""In a group's description: the code and libraries with which it was last verified."""
CANARIES = "canaries"
"""In a group's description: two of its chains, embedded again after a change of those."""
FORMAT = 2
"""Of entries; raised when it changes, so that older groups are no longer found."""
CHUNK = 64_000_000
"""Bytes of one transaction, held in memory until it ends."""
HEADER = struct.Struct("<HHII")
"""Bits of a number (32, or 16 if the lower halves are all zero), dimensions, shape."""
NETWORK = (
    "afpfs", "afs", "auristor", "beegfs", "blobfuse", "ceph", "cifs", "davfs", "gcsfuse", "gluster",
    "goofys", "gpfs", "juicefs", "lustre", "nfs", "orangefs", "panfs", "pvfs", "rclone", "s3fs",
    "smb", "sshfs", "webdav", "weka",
)  # fmt: skip
"""Prefixes of network file systems, on which lmdb's locks do not work."""


class EmbeddingCache:
    """The vectors of one backbone and level, float32, read back bit for bit.

    about: JSON description for the user, and the current code and libraries.
    """

    def __init__(
        self, folder: Path, about: Mapping[str, Any], opener: Callable[[], Database | None]
    ) -> None:
        self._folder, self._about, self._open = folder, about, opener
        self.found = self.embedded = 0

    @cached_property
    def database(self) -> Database | None:
        """Opened at first use, so that a run opens only what it needs."""
        return self._open()

    def verify(self, embed: Callable[[Sequence[str]], Sequence[Float32]], dtype: str) -> None:
        """After a change of code or libraries, embed two stored chains again and compare.

        A difference beyond rounding deletes the group.
        """
        about, now = read_about(self._folder), self._about[CHECKED_WITH]
        if about.get(CHECKED_WITH, now) == now or self.database is None:
            return
        stored = {chain: self.database.get(key_of(chain)) for chain in about.get(CANARIES, [])}
        before = {chain: decode(value) for chain, value in stored.items() if value is not None}
        if self.database.closed:  # it could not be read, and a sentence has said so
            return
        limit = ROUNDING.get(dtype, max(ROUNDING.values()))
        if before and distance(embed(list(before)), list(before.values())) <= limit:
            write_about(self._folder, {**about, CHECKED_WITH: now})
            return
        warn(
            f"{self._folder.name} holds vectors that the current code and libraries do not "
            "reproduce; it is started anew"
        )
        self.database.close()
        discard(self._folder)
        self.database = self._open()

    def __contains__(self, chain: str) -> bool:
        return self.database is not None and key_of(chain) in self.database

    def get(self, chain: str) -> Float32 | None:
        """The vector of a chain, or None."""
        value = self.database.get(key_of(chain)) if self.database else None
        self.found += value is not None
        return None if value is None else decode(value)

    def put(self, chains: Sequence[str], vectors: Sequence[Float32]) -> list[Float32]:
        """Store new vectors; return them, or those that another process stored first."""
        self.embedded += len(chains)
        about = read_about(self._folder)
        if self.database and CANARIES not in about:  # first: a group without them is not trusted
            finite = [
                c for c, vector in zip(chains, vectors, strict=True) if np.isfinite(vector).all()
            ]
            write_about(self._folder, {**about, CANARIES: sorted(finite, key=len)[:2]})
        stored = dict(zip(map(key_of, chains), vectors, strict=True))
        for items in self._transactions(stored):
            before = self.database.add(items) if self.database else {}
            stored |= {key: decode(value) for key, value in before.items()}
        return [stored[key_of(chain)] for chain in chains]

    def _transactions(self, vectors: Mapping[bytes, Float32]) -> Iterator[dict[bytes, bytes]]:
        items: dict[bytes, bytes] = {}
        size = 0
        for key, vector in vectors.items():
            if np.isfinite(vector).all():  # a device's transient error must not be stored
                items[key] = encode(vector)
                size += len(items[key])
            if size > CHUNK:
                yield items
                items, size = {}, 0
        yield items


class Group(NamedTuple):
    """A group on disk."""

    folder: Path
    level: str
    size: int
    """Bytes."""
    used: float
    """Time of last opening or writing, in seconds since 1970."""

    def about(self) -> dict[str, Any]:
        """Model and settings."""
        return read_about(self.folder)

    def entries(self) -> int | None:
        """Number of vectors; None if it is damaged."""
        try:
            with lmdb.open(str(self.folder), readonly=True, create=False, lock=False) as env:
                return env.stat()["entries"]
        except lmdb.Error:
            return None


class Store:
    """The open store, with at most `gigabytes` of residue vectors."""

    def __init__(self, folder: Path, gigabytes: float) -> None:
        self.folder = folder
        self.gigabytes = gigabytes
        self._databases: dict[str, Database | None] = {}
        for old in folder.glob(".old-*"):  # left by a process killed while removing them
            shutil.rmtree(old, ignore_errors=True)

    @property
    def digests(self) -> Database | None:
        """Digests of files, by their state in the file system, and descriptions of models."""
        return self._database("digests", {})

    def cache(self, level: Level, decides: Any, about: Mapping[str, Any]) -> EmbeddingCache:
        """The cache of a backbone's vectors.

        decides: JSON of everything that determines them except the sequence.
        about: JSON description for the user.
        """
        text = json.dumps([FORMAT, level, decides], sort_keys=True)
        name = f"{level}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        return EmbeddingCache(self.folder / name, about, lambda: self._database(name, about))

    def _database(self, name: str, about: Mapping[str, Any]) -> Database | None:
        known = self._databases.get(name)
        if name not in self._databases or (known and known.closed):  # lmdb opens a file only once
            room = partial(self._make_room, name)
            self._databases[name] = open_database(self.folder / name, about, room)
        return self._databases[name]

    def _make_room(self, name: str, size: int) -> bool:
        """Delete residue groups, least recently used first, until `size` more bytes are allowed."""
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
    """The store that `store=` names; None if it is off.

    An unusable folder is an error if the user named it; without the default folders the run goes
    on.
    """
    store = None
    if setting != "off":
        try:
            store = Store(prepared(Path(setting), own=True) if setting else default(), gigabytes)
        except UserError as error:
            if setting:
                raise
            warn(f"{error}; the run continues without a store")
    with closing(store) if store else nullcontext():
        yield store


def folder_of(setting: object) -> Path:
    """The folder that `store=` names, or else the default."""
    if setting in (False, "off"):
        raise UserError("store=off names no store; give its folder")
    return Path(str(setting)).expanduser() if setting else default()


def default() -> Path:
    """A folder in this user's cache, or else, with a note, one for temporary files."""
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not home.is_absolute():
        home = Path("~/.cache").expanduser()
    scratch = Path(tempfile.gettempdir(), f"plm-benchmark-{os.getuid()}")
    try:
        return prepared((home / "plm-benchmark").resolve(), own=False)  # a link of the user's own
    except UserError as error:
        folder = prepared(scratch, own=False)
        warn(f"{error}; until then {folder} is used")
        return folder


def prepared(folder: Path, own: bool) -> Path:
    """Create the store's folder; refuse network file systems.

    own: the user named it; else it may be open to this user only.
    """
    if kind := network(folder):
        raise UserError(
            f"store={folder} is on a network file system ({kind}), where several machines would "
            "damage it; give a folder on a local disk, or store=off"
        )
    try:
        folder.mkdir(mode=0o777 if own else 0o700, parents=True, exist_ok=True)
        state = folder.lstat()
        if not own and (state.st_uid != os.getuid() or state.st_mode & 0o077):
            raise UserError(f"other users can access {folder}; give store=DIR, or store=off")
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"cannot write to store={folder} ({error.strerror}); give another folder, or store=off"
        ) from None
    return folder


def network(folder: Path) -> str | None:
    """The type of a folder's file system if it is a network file system, else None."""
    import psutil

    path, depth, kind = folder.resolve(), 0, ""
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        if path.is_relative_to(mount) and len(mount.parts) >= depth:
            depth, kind = len(mount.parts), partition.fstype.lower()
    return kind if kind.removeprefix("fuse.").startswith(NETWORK) else None


def groups(folder: Path) -> list[Group]:
    """The groups in a folder, least recently used first."""
    found = []
    for level in ("protein", "residue"):
        for path in folder.glob(f"{level}-*"):
            with suppress(FileNotFoundError):  # another process may delete it meanwhile
                size, used = (path / DATA).stat().st_size, (path / ABOUT).stat().st_mtime
                found.append(Group(path, level, size, used))
    return sorted(found, key=lambda group: group.used)


def clear(folder: Path, name: str) -> None:
    """Remove a group, or "all" groups."""
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
    """Serialise shape and numbers; values of bfloat16 models take 16 bits each."""
    words = np.ascontiguousarray(vector, dtype="<f4").view("<u4")
    short = not (words & 0xFFFF).any()
    header = HEADER.pack(16 if short else 32, vector.ndim, *(*vector.shape, 0)[:2])
    return header + ((words >> 16).astype("<u2") if short else words).tobytes()


def decode(value: bytearray) -> Float32:
    """Inverse of `encode`."""
    bits, dimensions, *shape = HEADER.unpack_from(value)
    words = np.frombuffer(value, f"<u{bits // 8}", offset=HEADER.size)
    if bits == 16:
        words = words.astype("<u4") << 16
    return words.view("<f4").reshape(shape[:dimensions])

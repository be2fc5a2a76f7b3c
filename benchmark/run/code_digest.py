"""Which code a result depends on: ours by declared versions, a user's by version or content."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from pathlib import Path

from benchmark.core import Metric

OURS = {"benchmark", "tasks", "conf"}
"""Packages of this program: their classes declare versions, and their files are not followed."""


def declared_version(thing: type | Metric) -> int | str:
    """The version that a class or metric declares; of undeclared code of a user's its digest.

    A class of ours has its `VERSION`. A user's class has its own `VERSION`, or the digest of its
    module, and the version of the class of ours that it is built on.
    """
    if isinstance(thing, Metric):
        return code_digest(thing.fn) if thing.version is None else thing.version
    ours = next((kind for kind in thing.__mro__ if is_ours(kind.__module__)), None)
    base: int = vars(ours).get("VERSION", getattr(ours, "VERSION", 0))
    if ours is thing:
        return base
    own = vars(thing).get("VERSION")
    return f"{code_digest(thing) if own is None else own} on {base}"


def is_ours(module: str) -> bool:
    """Whether a module is of this program."""
    return module.partition(".")[0] in OURS


@cache
def own_digest() -> str:
    """Digest of every module of this program, for the Record: it is in no key."""
    root = Path(__file__).parents[2]
    state = hashlib.sha256()
    for file in sorted(file for name in OURS for file in (root / name).rglob("*.py")):
        state.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return state.hexdigest()[:16]


def code_digest(*objects: object) -> str:
    """Digest of the modules that define these classes and functions, and of what those import.

    Followed are modules of the packages that the objects are from, and all others that are neither
    installed nor of this program, wherever in a file they are imported, and whether or not they are
    loaded by now.
    """
    names = {str(getattr(thing, "__module__", "")) for thing in objects}
    packages = {name.partition(".")[0] for name in names} - OURS
    seen: set[str] = set()
    contents: dict[str, bytes] = {}
    while names - seen:
        name = min(names - seen)
        seen.add(name)
        if file := source_file(name):
            contents[name] = file.read_bytes()
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            found = imported(contents[name], package)
            tops = {other: other.partition(".")[0] for other in found}
            packages |= {top for top in set(tops.values()) - packages - OURS if is_local(top)}
            names |= {other for other, top in tops.items() if top in packages}
            names |= {p for other, top in tops.items() if top in packages for p in above(other)}
    state = hashlib.sha256()
    for name, content in sorted(contents.items()):
        state.update(name.encode() + content)
    return state.hexdigest()[:16]


def imported(source: bytes, package: str) -> Iterator[str]:
    """What a file of a package imports: modules, and names that may be modules."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # of another Python; who really imports it, is told
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def above(name: str) -> Iterator[str]:
    """The packages that a module is in: they are run before it."""
    while name := name.rpartition(".")[0]:
        yield name


@cache
def is_local(top: str) -> bool:
    """Whether a package or module is neither Python's own nor installed, so may be edited."""
    spec = None if top in sys.stdlib_module_names else place(top)
    origins = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    parts = {part for origin in origins if origin for part in Path(origin).parts}
    return bool(parts) and not parts & {"site-packages", "dist-packages"}


def place(top: str) -> ModuleSpec | None:
    """Where a top package or module is or would be loaded from."""
    try:
        return find_spec(top)
    except (ImportError, ValueError):  # __main__ and the like have no place
        return None


def source_file(name: str) -> Path | None:
    """The file of a module; None if the name is of no module."""
    top, *parts = name.split(".")
    spec = place(top)
    folders = spec.submodule_search_locations if spec else None
    if folders is None:  # a module of one file
        origin = spec.origin if spec else None
        return Path(origin) if origin and origin.endswith(".py") and not parts else None
    for folder in folders:
        path = Path(folder, *parts)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None

"""The code that a result depends on: ours by declared versions, a user's by version or content."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import cache, partial
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, resolve_name
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

from benchmark.core import Metric
from benchmark.metrics import known

OURS = {"benchmark", "tasks", "conf"}
"""Packages of this program: their classes declare versions, and their files are not followed."""


def declared_version(thing: type | Metric, target: str = "") -> int | str:
    """The version that a class or metric declares; for a user's code without one its digest.

    A class of this program has its `VERSION`. A user's class has its own `VERSION`, or the digest
    of its module, and the version of the class of this program that it extends. So has what a
    user's function in another module makes: `target` is the dotted name that a yaml gives.
    """
    maker = target.rpartition(".")[0]
    if isinstance(thing, Metric):
        return metric_version(thing, maker)
    if maker.partition(".")[0] not in {"", *OURS} and maker != thing.__module__:
        digest = code_digest(SimpleNamespace(__module__=maker))
        return f"{digest} on {declared_version(thing)}"
    ours = next((k for k in thing.__mro__ if k.__module__.partition(".")[0] in OURS), None)
    base: int = vars(ours).get("VERSION", getattr(ours, "VERSION", 0))
    if ours is thing:
        return base
    own = vars(thing).get("VERSION")
    return f"{code_digest(thing) if own is None else own} on {base}"


def metric_version(metric: Metric, module: str) -> int | str:
    """Its `version`, unless a user's function replaces the one of ours that declared it."""
    fn: object = metric.fn
    while isinstance(fn, partial):
        fn = fn.func
    ours = known().get(metric.name)
    is_ours = fn.__module__.partition(".")[0] in OURS
    inherited = ours is not None and ours.version == metric.version and not is_ours
    if metric.version is not None and not inherited:
        return metric.version
    return code_digest(fn, SimpleNamespace(__module__=module))


@cache
def own_digest() -> str:
    """Digest of every module of this program, for the Record; it is in no key."""
    root = Path(__file__).parents[2]
    state = hashlib.sha256()
    for file in sorted(file for name in OURS for file in (root / name).rglob("*.py")):
        state.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return state.hexdigest()[:16]


def code_digest(*objects: object) -> str:
    """Digest of the modules that define these classes and functions, and of what those import.

    It follows imports, also inside functions, of modules in the packages of the objects, and of all
    others that are neither installed nor part of this program, loaded or not.
    """
    modules = [str(getattr(thing, "__module__", "")) for thing in objects]
    names = set[str]()
    for module in modules:
        # a yaml may name a method of a class, `package.module.Class.make`: all that it may lie in
        places = accumulate(module.split("."), "{}.{}".format)
        names |= {module} if source_file(module) else set(places)
    packages = {name.partition(".")[0] for name in names} - OURS
    seen: set[str] = set()
    contents: dict[str, bytes] = {}
    while names - seen:
        name = min(names - seen)
        seen.add(name)
        if file := source_file(name):
            contents[name] = file.read_bytes()
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            tops = {m: m.partition(".")[0] for m in imported(contents[name], package)}
            packages |= {top for top in set(tops.values()) - packages - OURS if is_local(top)}
            for module in (m for m, top in tops.items() if top in packages):
                # a module and the packages that it is in, which run before it
                names |= set(accumulate(module.split("."), "{}.{}".format))
    state = hashlib.sha256()
    for name, content in sorted(contents.items()):
        state.update(name.encode() + content)
    return state.hexdigest()[:16]


def imported(source: bytes, package: str) -> Iterator[str]:
    """Names that a file of a package imports: modules, and attributes that may be modules."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # for another Python; a real import of it will fail
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


@cache
def is_local(top: str) -> bool:
    """Whether a package or module is neither of the standard library nor installed."""
    spec = None if top in sys.stdlib_module_names else place(top)
    origins = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    parts = {part for origin in origins if origin for part in Path(origin).parts}
    return bool(parts) and not parts & {"site-packages", "dist-packages"}


def place(top: str) -> ModuleSpec | None:
    """The location that a top-level package or module is loaded from."""
    try:
        return find_spec(top)
    except (ImportError, ValueError):  # __main__, for example
        return None


def source_file(name: str) -> Path | None:
    """The file of a module; None if there is no such module."""
    top, *parts = name.split(".")
    spec = place(top)
    folders = spec.submodule_search_locations if spec else None
    if folders is None:  # a module of one file
        origin = spec.origin if spec else None
        return Path(origin) if origin and origin.endswith(".py") and not parts else None
    paths = [Path(folder, *parts) for folder in folders]
    files = (file for path in paths for file in (path / "__init__.py", Path(f"{path}.py")))
    return next((file for file in files if file.is_file()), None)

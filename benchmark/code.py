"""Which code a result depends on, told by its content."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path


def code_digest(*objects: object) -> str:
    """Digest of the modules that define these classes and functions, and of what those import.

    Followed are modules of this program and of the packages that the objects are from, wherever in
    a file they are imported, and whether or not they are loaded by now.
    """
    names = {str(getattr(thing, "__module__", "")) for thing in objects}
    packages = {"benchmark", "tasks", *(name.partition(".")[0] for name in names)}
    seen: set[str] = set()
    contents: dict[str, bytes] = {}
    while names - seen:
        name = min(names - seen)
        seen.add(name)
        if file := source_file(name):
            contents[name] = file.read_bytes()
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            found = imported(contents[name], package)
            names |= {other for other in found if other.partition(".")[0] in packages}
    state = hashlib.sha256()
    for name, content in sorted(contents.items()):
        state.update(name.encode() + content)
    return state.hexdigest()[:16]


def imported(source: bytes, package: str) -> Iterator[str]:
    """What a file of a package imports: modules, and names that may be modules."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), package)
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def source_file(name: str) -> Path | None:
    """The file of a module whose top package is loaded; None if the name is of no module."""
    top, *parts = name.split(".")
    module = sys.modules.get(top)
    folders = getattr(module, "__path__", None)
    if folders is None:  # a module of one file
        file = getattr(module, "__file__", None)
        return Path(file) if file and file.endswith(".py") and not parts else None
    for folder in folders:
        place = Path(folder, *parts)
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                return file
    return None

"""The yaml files of tasks, models, methods and suites, read without Hydra."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from benchmark.core import Area, UserError, unknown

AREAS = get_args(Area)


def built_in() -> Path:
    """The folder of the yaml files that come with the package."""
    import conf

    return Path(conf.__file__).parent


def find(folders: Sequence[Path], group: str, name: str) -> Path:
    """The yaml of this name; in several folders the first one counts, as it does in a run."""
    for folder in folders:
        if (file := folder / group / f"{name}.yaml").is_file():
            return file
    raise unknown(group, name, names(group, folders))


def names(group: str, folders: Sequence[Path]) -> list[str]:
    """The names in a group, sorted."""
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


@cache
def read(file: Path) -> dict[str, Any]:
    """The mapping in a yaml file."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = f"{getattr(error, 'problem', error)}{getattr(error, 'problem_mark', '')}"
        raise UserError(f"{file} is not yaml: {' '.join(reason.split())}; correct it") from None
    if not isinstance(values, dict):
        raise UserError(f"{file} is {'empty' if values is None else 'not a mapping'}; fill it")
    return values


def merged(folders: Sequence[Path], group: str, name: str) -> dict[str, Any]:
    """A yaml's values over those of the yamls of its group that its defaults name."""
    file, result = find(folders, group, name), dict[str, Any]()
    values = dict(read(file))
    for parent in values.pop("defaults", None) or []:
        if isinstance(parent, str) and parent != "_self_":
            try:
                result |= merged(folders, group, parent)
            except UserError as error:
                raise UserError(f"{file}: {error}") from None
    return {**result, **values}


def tasks_of_suite(name: str) -> list[str]:
    """The tasks that a suite of ours runs; empty if there is no suite of this name."""
    file = built_in() / "suite" / f"{name}.yaml"
    if not file.is_file():
        return []
    tasks = read(file)["hydra"]["sweeper"]["params"]["task"]
    return [task.strip() for task in tasks.split(",")]


@cache
def expected_tasks(area: str, embedded: bool) -> tuple[str, ...]:
    """The tasks over which an area has a mean: those of its suite, or of the embedded tasks."""
    if not embedded:
        return tuple(tasks_of_suite(area)) if area in AREAS else ()
    found = tasks_of_suite("pocket")
    return tuple(task for task in found if merged([built_in()], "task", task)["area"] == area)

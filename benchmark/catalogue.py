"""What can be named on the command line: the yaml files of conf/ and of a --config-dir."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from benchmark.core import UserError

GROUPS = ("task", "model", "method", "suite")


def config_folders(argv: Sequence[str] = ()) -> list[Path]:
    """This project's conf/, and folders given with --config-dir, -cd, or config_dir= of a verb."""
    import conf

    folders = [Path(conf.__file__).parent]
    for index, word in enumerate(argv):
        flag, _, value = word.partition("=")
        if flag in ("--config-dir", "-cd", "config_dir"):
            folders.append(Path(value or "".join(argv[index + 1 : index + 2])))
    return folders


def names(group: str, folders: Iterable[Path]) -> list[str]:
    """The names in a group, sorted."""
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def unknown(what: str, name: str, known: Sequence[str]) -> UserError:
    """The sentence for a name that is not there, with the nearest that are."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    return UserError(f"{what} {name!r} is not known; {hint}")


def check_names(argv: Sequence[str]) -> None:
    """Refuse a mistyped task, model, method or suite, before anything heavy starts."""
    folders = config_folders(argv)
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--config-dir {folder} is not a folder")
    for word in argv:
        group, equals, value = word.lstrip("+").partition("=")
        if group not in GROUPS or not equals:
            continue
        for name in value.split(","):
            known = names(group, folders)
            both = set(names(group, folders[:1])) & set(names(group, folders[1:]))
            if name in both:
                raise UserError(
                    f"{group} {name!r} is in --config-dir and in the package, which would win; "
                    "give yours a name of its own"
                )
            if "(" not in value and name not in known:
                raise unknown(group, name, known)
            if group == "suite" and not word.startswith("+"):
                raise UserError(f"a suite is added to the run: write +suite={value}")


def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as one level, `prefix.key`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(f"{prefix}.{key}", value)
        else:
            result[f"{prefix}.{key}"] = value
    return result

"""What can be named on the command line: the yaml files of conf/ and of a --config-dir."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from benchmark.core import UserError, unknown
from benchmark.report.suites import built_in, merged, names, read

ROOT = Path(__file__).parents[2]
GROUPS = ("task", "model", "method", "suite")


def config_folders(argv: Sequence[str] = ()) -> list[Path]:
    """This project's conf/, and folders given with --config-dir, -cd, or config_dir= of a verb."""
    folders = [built_in()]
    for index, word in enumerate(argv):
        flag, _, value = word.partition("=")
        if flag in ("--config-dir", "-cd", "config_dir"):
            folders.append(Path(value or "".join(argv[index + 1 : index + 2])))
    return folders


def check_not_shadowed() -> None:
    """Refuse a folder where Python finds packages of the user's own by the names of ours."""
    for name in ("tasks", "conf"):
        spec = find_spec(name)
        places = [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
        if ROOT / name not in places:
            raise UserError(
                f"{name} in {places[0].parent if places else 'this folder'} hides the package "
                f"{name!r} of the benchmark; use the program plm-benchmark, or another folder"
            )


def with_folder_last(argv: Sequence[str]) -> list[str]:
    """The words with --config-dir DIR at the end; it may stand anywhere."""
    words, folder, rest = list[str](), list[str](), iter(argv)
    for word in rest:
        flag, equals, value = word.partition("=")
        if flag not in ("--config-dir", "-cd"):
            words.append(word)
        elif folder:
            raise UserError("--config-dir is given twice; give one folder")
        elif not (value := value if equals else next(rest, "")):
            raise UserError("--config-dir needs a folder, as in --config-dir conf")
        else:
            folder = ["--config-dir", value]
    return words + folder


def check_one_name(argv: Sequence[str]) -> None:
    """Refuse one name= for several models, whose rows would be one."""
    given = dict(word.lstrip("+").partition("=")[::2] for word in argv if "=" in word)
    for key in ("model", "model.path"):
        if "," in given.get(key, "") and "," not in given.get("name", ","):
            raise UserError(
                f"name={given['name']} would be the name of several models ({key}={given[key]}); "
                "leave it out, or run them one by one"
            )


def check_names(argv: Sequence[str]) -> None:
    """Refuse mistyped tasks, models, methods and suites, all of them, before a run starts."""
    folders = config_folders(argv)
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"--config-dir {folder} is not a folder; give one with task/, model/ or method/"
            )
    if found := [str(e) for word in argv for e in mistakes_in(word, folders)]:
        raise UserError("; and ".join(found))


def mistakes_in(word: str, folders: Sequence[Path]) -> Iterator[UserError]:
    """The errors in the names that a word gives."""
    group, equals, value = word.lstrip("+").partition("=")
    if group not in GROUPS or not equals or "(" in value:
        return
    for name in value.split(","):
        known = names(group, folders)
        if name in names(group, folders[:1]) and name in names(group, folders[1:]):
            yield UserError(
                f"{group} {name!r} is in --config-dir and in the package, which would win; "
                "give yours a name of its own"
            )
        if name not in known:
            yield unknown_name(group, name, known)
        elif name in names(group, folders[1:]):
            try:
                merged(folders, group, name)  # an empty file, for example
            except UserError as error:
                yield error


def unknown_name(group: str, name: str, known: Sequence[str]) -> UserError:
    """The error for an unknown name; a yaml of this name in a folder here is pointed out."""
    for file in sorted(Path().glob(f"*/{group}/{name}.yaml")):
        return UserError(f"{group} {name!r} is in {file}; add --config-dir {file.parents[1]}")
    return unknown(group, name, known)


def default_name(group: str) -> str:
    """The choice of a run that names none."""
    choices = [choice for choice in read(built_in() / "config.yaml")["defaults"] if group in choice]
    return str(choices[0][group])

"""What can be named on the command line: the yaml files of conf/ and of a --config-dir."""

from collections.abc import Sequence
from pathlib import Path

from benchmark.core import UserError, unknown
from benchmark.report.suites import built_in, names

GROUPS = ("task", "model", "method", "suite")


def config_folders(argv: Sequence[str] = ()) -> list[Path]:
    """This project's conf/, and folders given with --config-dir, -cd, or config_dir= of a verb."""
    folders = [built_in()]
    for index, word in enumerate(argv):
        flag, _, value = word.partition("=")
        if flag in ("--config-dir", "-cd", "config_dir"):
            folders.append(Path(value or "".join(argv[index + 1 : index + 2])))
    return folders


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
            if name in names(group, folders[:1]) and name in names(group, folders[1:]):
                raise UserError(
                    f"{group} {name!r} is in --config-dir and in the package, which would win; "
                    "give yours a name of its own"
                )
            if "(" not in value and name not in known:
                raise unknown(group, name, known)
            if group == "suite" and not word.startswith("+"):
                raise UserError(f"a suite is added to the run: write +suite={value}")

"""One sentence for each error, and the exit status that goes with it."""

import errno
import re
import sys
import sysconfig
import tempfile
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn

from yaml import YAMLError

from benchmark.cli.catalogue import GROUPS, ROOT, config_folders
from benchmark.cli.compose import settings_of
from benchmark.core import ExitCode, UserError, unknown

OURS = {"benchmark", "tasks", "conf", "tests"}
STDLIB = sysconfig.get_path("stdlib")
SENTENCES = {
    r"Error locating target '(.+?)'": (
        "cannot import {0} ({reason}); modules are looked for in the current folder, on "
        "PYTHONPATH, and among those installed"
    ),
    r"(\w+)\.__init__\(\) missing .*?: (.+)": (
        "{0} lacks the settings {1}; give them in its yaml, or, if it reads a table, its line of "
        "defaults"
    ),
    r"(\w+)\.__init__\(\) got an unexpected keyword argument ('.+')": (
        "{0} has no setting {1}; remove it from the yaml"
    ),
    r"Error in call to target .*?full_key: (\w+)": (
        "a setting of {0}= has a value of the wrong type ({cause}); its yaml shows the right ones"
    ),
    r"Interpolation key '(.+?)'": (
        "{key} refers to the setting {0!r}, which there is not; correct ${{...}}"
    ),
}
"""How messages of Hydra and OmegaConf begin -> our sentence for them."""


def fail(sentence: str, status: ExitCode = ExitCode.USER_ERROR) -> NoReturn:
    """Print what is wrong and exit."""
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(status)


def answer(error: Exception) -> tuple[str, ExitCode]:
    """The sentence for an error and the exit status: a mistake in the input, or a bug."""
    if is_explained(error):
        return explain(error), ExitCode.USER_ERROR
    while "Instantiation" in type(error).__name__ and isinstance(error.__cause__, Exception):
        error = error.__cause__  # Hydra wraps what a constructor raises
    reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if place := place_in_users_code(error):
        return (
            f"your code failed in {place} ({reason}); correct it, or run again with debug=true to "
            "see the traceback"
        ), ExitCode.USER_ERROR
    with tempfile.NamedTemporaryFile("w", prefix="benchmark-", suffix=".log", delete=False) as log:
        traceback.print_exception(error, file=log)
    return (
        f"this is a bug in the benchmark ({reason}); please report it with the traceback in "
        f"{log.name}, or run again with debug=true to see it here"
    ), ExitCode.BUG


def is_explained(error: BaseException | None) -> bool:
    """Whether an error is a mistake in the input, which `explain` puts into one sentence."""
    if "Instantiation" in type(error).__name__:
        cause = error and error.__cause__
        of_a_value = isinstance(cause, TypeError) and not place_in_users_code(cause)
        return of_a_value or "locating target" in str(error) or is_explained(cause)
    if error and is_disk_full(error):
        return True
    origin = type(error).__module__.partition(".")[0]
    explained = isinstance(error, UserError | OSError | MemoryError | YAMLError)
    return explained or origin in ("hydra", "omegaconf")


def place_in_users_code(error: BaseException) -> str | None:
    """File and line of the innermost call outside libraries, if that is not in this program."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_relative_to(ROOT) and file.relative_to(ROOT).parts[0] in OURS:
            return None
        library = {"site-packages", "dist-packages"} & set(file.parts)
        if not library and not file.is_relative_to(STDLIB) and file.is_file():
            return f"{frame.filename}, line {frame.lineno}"
    return None


def explain(error: Exception) -> str:
    """One sentence that says what is wrong."""
    from omegaconf.errors import MissingMandatoryValue

    cause = error.__cause__
    settings = re.search(r"__init__\(\) (missing|got an unexpected)", str(cause))
    explained = isinstance(cause, UserError | OSError | MemoryError) or settings
    if isinstance(cause, Exception) and explained:
        return explain(cause)  # Hydra wraps what a constructor raises
    if is_disk_full(error):
        return (
            "the disk is full, or a quota is used up; free some space, or give another folder with "
            f"results=DIR, store=DIR or TMPDIR=DIR ({deepest(error)})"
        )
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
    if isinstance(error, MemoryError):
        return (
            "out of memory; cut all chains with task.max_length=..., lower batch_tokens=..., or "
            "spread the model with model.device_map=auto"
        )
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is missing; give {error.full_key}=..."
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if isinstance(error, YAMLError):
        return f"a yaml file cannot be read: {text}"
    about = {
        "reason": deepest(error) or "it is not there",
        "cause": error.__cause__,
        "key": getattr(error, "full_key", "a setting"),
    }
    for pattern, sentence in SENTENCES.items():
        if found := re.match(pattern, text):
            return sentence.format(*found.groups(), **about)
    if found := re.match(r"Could not override '(.+?)'", text):
        given = [word.partition("=")[0] for word in sys.argv[1:] if re.match(r"[a-z][\w.]*=", word)]
        words = [w for w in sys.argv[1:] if w.split("=")[0] in GROUPS[:3] and "," not in w]
        known = settings_of(words, config_folders(sys.argv)[1:])
        wrong = [key for key in given if not any(f"{k}.".startswith(f"{key}.") for k in known)]
        if not wrong and found[1] in known:
            group = found[1].partition(".")[0]
            return (
                f"{found[1]} is no setting of every {group}= that you chose; leave it out, or run "
                "those that have it by themselves"
            )
        return "; and ".join(str(unknown_setting(key, known)) for key in wrong or [found[1]])
    return text


def unknown_setting(key: str, known: Sequence[str]) -> UserError:
    """The error for an unknown setting; without a near one those of its group are named."""
    group = key.rpartition(".")[0]
    near = get_close_matches(key, known, cutoff=0.6)
    return unknown("setting", key, near or [k for k in known if k.rpartition(".")[0] == group])


def is_disk_full(error: BaseException) -> bool:
    """Whether a disk had no room, also if a library says so in an error of its own."""
    number = getattr(error, "errno", None)
    if found := re.search(r"\(os error (\d+)\)", str(error)):  # of safetensors
        number = int(found[1])
    cause = error.__cause__ or error.__context__
    full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return full or (cause is not None and is_disk_full(cause))


def deepest(error: BaseException) -> str:
    """The message of the first error in a chain, in one line."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return " ".join(str(error).split())

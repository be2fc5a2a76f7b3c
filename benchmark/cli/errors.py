"""One sentence for each error, and the exit status that goes with it."""

import re
import sys
import tempfile
import traceback
from typing import NoReturn

from yaml import YAMLError

from benchmark.cli.catalogue import GROUPS, config_folders
from benchmark.cli.compose import settings_of
from benchmark.core import ExitCode, UserError, unknown


def fail(sentence: str, status: ExitCode = ExitCode.USER_ERROR) -> NoReturn:
    """Print what is wrong and exit."""
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(status)


def report_bug(error: Exception) -> NoReturn:
    """Write the traceback to a file, name the file, and exit."""
    with tempfile.NamedTemporaryFile("w", prefix="benchmark-", suffix=".log", delete=False) as log:
        traceback.print_exception(error, file=log)
    reason = (str(error).splitlines() or [""])[0]
    fail(
        f"this is a bug in the benchmark ({type(error).__name__}: {reason}); please report it with "
        f"the traceback in {log.name}, or run again with debug=true to see it here",
        ExitCode.BUG,
    )


def explain(error: Exception) -> str:
    """One sentence that says what is wrong."""
    from omegaconf.errors import MissingMandatoryValue

    if isinstance(error.__cause__, UserError | OSError | TypeError | MemoryError):
        return explain(error.__cause__)  # Hydra wraps what a constructor raises
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
    if found := re.match(r"Error locating target '(.+?)'", text):
        reason = error.__cause__ or "it is not there"
        return f"cannot import {found[1]} ({reason}); modules are looked for where you are, too"
    if found := re.match(r"(\w+)\.__init__\(\) missing .*?: (.+)", text):
        return (
            f"{found[1]} lacks the settings {found[2]}; give them in its yaml, or, if it reads a "
            "table, its line of defaults"
        )
    if found := re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(.+)'", text):
        return f"{found[1]} has no setting {found[2]!r}; remove it from the yaml"
    if found := re.match(r"Could not override '(.+?)'", text):
        words = [w for w in sys.argv[1:] if w.split("=")[0] in GROUPS[:3] and "," not in w]
        return str(unknown("setting", found[1], settings_of(words, config_folders(sys.argv)[1:])))
    return text

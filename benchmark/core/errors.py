"""Errors that the user can fix, and the exit codes of the command line."""

from collections.abc import Sequence
from difflib import get_close_matches
from enum import IntEnum

FEW = 6
"""Names that an error lists next to the nearest ones."""


class ExitCode(IntEnum):
    """What the exit status of `python -m benchmark` means."""

    DONE = 0
    FAILED = 1
    """A check or gate failed, or some run of a multirun failed."""
    USER_ERROR = 2
    """The command, a file or a setting is wrong; one sentence says how to fix it."""
    INVESTIGATE = 3
    """The data do not decide: a person has to look."""
    BUG = 70
    """An error in this program."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM."""


class UserError(ValueError):
    """An error that the user can fix, explained in one sentence that the command line prints."""


def unknown(what: str, name: str, known: Sequence[str]) -> UserError:
    """The error for an unknown name, with similar known names; all are listed if they are few."""
    longer = [other for other in known if name and other.startswith(name)]
    near = longer[:FEW] or get_close_matches(name, known, n=3, cutoff=0.5)
    hints = [f"did you mean {' or '.join(near)}?"] if near else []
    hints += [f"known: {', '.join(known)}"] if not near or len(known) <= FEW else []
    return UserError(f"unknown {what} {name!r}; {' '.join(hints)}")

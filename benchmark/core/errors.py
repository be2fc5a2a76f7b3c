"""What a user can mend, told in one sentence."""

from collections.abc import Sequence
from difflib import get_close_matches


class UserError(ValueError):
    """Something the user can fix, told in one sentence that the command line prints."""


def unknown(what: str, name: str, known: Sequence[str]) -> UserError:
    """The sentence for a name that is not there, with the nearest that are."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    return UserError(f"{what} {name!r} is not known; {hint}")

"""Shared by the scripts: how a mistake ends them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmark.core import UserError


@contextmanager
def one_sentence() -> Iterator[None]:
    """Exit with one sentence after a user's mistake or an error of the disk."""
    try:
        yield
    except (UserError, OSError) as error:
        sys.exit(str(error))

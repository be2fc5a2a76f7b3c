"""Scripts that make what is in `benchmark.pocket`; nothing else imports them.

They may import everything but cli.
"""

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

"""Progress bars on the terminal, for loops longer than two seconds."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds before the bar appears."""
REFRESH = 0.5
"""Seconds between two updates of the label."""


def track(items: Iterable[T], total: int, label: str | Callable[[], str]) -> Iterator[T]:
    """Yield the items; after two seconds show their count and the time left on stderr.

    Of several processes only the first one shows them.

    label: text beside the bar; a function is called again at each update.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or os.environ.get("RANK", "0") != "0",
    )
    job = bar.add_task("", total=total)
    started, updated, shown = time.monotonic(), -PATIENCE, False
    try:
        for item in items:
            now = time.monotonic()
            if not shown and now - started > PATIENCE:
                bar.start()
                shown = True
            if shown and now - updated > REFRESH:
                bar.update(job, description=label if isinstance(label, str) else label())
                updated = now
            bar.advance(job)
            yield item
    finally:
        if shown:
            bar.stop()

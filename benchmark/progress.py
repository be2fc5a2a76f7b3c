"""Progress on the terminal, for whatever takes longer than two seconds."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds before anything is shown."""
REFRESH = 0.5
"""Seconds between two looks at what is shown beside the count."""


def track(items: Iterable[T], total: int, what: str | Callable[[], str]) -> Iterator[T]:
    """Pass items on; after two seconds show on stderr how many have come, and the time left.

    what: is shown beside them; a function is asked again as they come.
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
        disable=not console.is_terminal,
    )
    job = bar.add_task("", total=total)
    started, told, shown = time.monotonic(), -PATIENCE, False
    try:
        for item in items:
            now = time.monotonic()
            if not shown and now - started > PATIENCE:
                bar.start()
                shown = True
            if shown and now - told > REFRESH:
                bar.update(job, description=what if isinstance(what, str) else what())
                told = now
            bar.advance(job)
            yield item
    finally:
        if shown:
            bar.stop()

"""Progress on the terminal, for whatever takes longer than two seconds."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 2.0
"""Seconds before anything is shown."""


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass items on; after two seconds show on stderr how many have come, and the time left."""
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
    job = bar.add_task(what, total=total)
    started, shown = time.monotonic(), False
    try:
        for item in items:
            if not shown and time.monotonic() - started > PATIENCE:
                bar.start()
                shown = True
            bar.advance(job)
            yield item
    finally:
        if shown:
            bar.stop()

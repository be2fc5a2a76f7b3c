"""How far a loop is: a bar on a terminal, and otherwise a plain line every few seconds."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
PERIOD = 5.0
"""Least seconds between two plain lines, also of different loops."""
SHARE = 0.02
"""Of the time that a loop has taken: in a loop of hours the lines are minutes apart."""
SHORT = 1.0
"""Seconds: a loop that ends sooner has a line only after twice the period."""
EARLY = 0.1
"""Share of a loop from which on rate and time left are estimated."""
REFRESH = 0.5
"""Seconds between two updates of the bar's label."""
last_line = time.monotonic()
"""When the last plain line was printed, or the command began."""
subject = ""
"""What loops are about now, such as a test set."""


@contextmanager
def about(name: str) -> Iterator[None]:
    """Name what the loops inside are about."""
    global subject
    subject = name
    try:
        yield
    finally:
        subject = ""


def track(items: Iterable[T], total: int, label: str | Callable[[], str]) -> Iterator[T]:
    """Yield the items, and show on stderr what is done, the rate, and the time left.

    label: what is done; a function is called again at each update.
    """
    if not first_process():
        return iter(items)
    end = f" ({subject})" if subject else ""
    read = (lambda: label + end) if isinstance(label, str) else label
    return with_bar(items, total, read) if sys.stderr.isatty() else with_lines(items, total, read)


def note(text: str) -> None:
    """A line about the work that goes on."""
    if first_process():
        print(text, file=sys.stderr, flush=True)


def first_process() -> bool:
    """Whether this process is the one of several that reports."""
    return os.environ.get("RANK", "0") == "0"


def with_lines(items: Iterable[T], total: int, label: Callable[[], str]) -> Iterator[T]:
    """Plain lines, for a log file."""
    global last_line
    started = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        waited, taken = now - last_line, now - started
        if done and waited > max(PERIOD, SHARE * taken):
            left = (total - done) * taken / done
            if left > SHORT or waited > 2 * PERIOD:
                text = f"{label()}: {done:,} of {total:,}"
                if done > 1 and done >= EARLY * total:  # the first wait for the whole first batch
                    text += f", {done / taken:.3g} per second, {clock(left)} left"
                note(text)
                last_line = now
        yield item


def with_bar(items: Iterable[T], total: int, label: Callable[[], str]) -> Iterator[T]:
    """A bar that appears at once, and disappears at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        job, updated = bar.add_task(label(), total=total), time.monotonic()
        for item in items:
            if time.monotonic() - updated > REFRESH:
                bar.update(job, description=label())
                updated = time.monotonic()
            yield item
            bar.advance(job)


def clock(seconds: float) -> str:
    """A duration: "0:05", "12:34", "3:00:00"."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"

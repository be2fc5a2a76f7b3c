"""Progress on a terminal and in a log file."""

import io
import sys
import time

import pytest

from benchmark import progress
from benchmark.progress import clock, track


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves on by 0.75 s whenever it is read."""
    now = iter(range(10**6))
    monkeypatch.setattr(progress, "last_line", 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(now) * 0.75)


@pytest.mark.usefixtures("ticking")
def test_a_log_has_a_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    found = list(track(iter("ab" * 20), 40, lambda: "epoch 1 of 3"))
    lines = capsys.readouterr().err.splitlines()

    assert found == list("ab" * 20)
    assert 4 <= len(lines) <= 6, "thirty seconds"
    assert lines[1] == "epoch 1 of 3: 13 of 40, 1.24 per second, 0:22 left"


@pytest.mark.usefixtures("ticking")
def test_a_line_names_the_test_set_and_no_rate_at_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress.about("no-hit"):
        list(track(iter("ab" * 50), 100, "zero-shot"))
    list(track("abc" * 20, 60, "later"))
    lines = capsys.readouterr().err.splitlines()

    assert lines[0].startswith("zero-shot (no-hit): ") and "second" not in lines[0]
    assert "per second" in lines[3] and "later: " in lines[-1]


@pytest.mark.usefixtures("ticking")
def test_lines_of_several_short_loops_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    """A training has a loop for each epoch: its lines are apart, too."""
    for epoch in range(10):
        assert list(track("abc", 3, f"epoch {epoch}")) == list("abc")

    assert len(capsys.readouterr().err.splitlines()) == 5


def test_only_the_first_process_reports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(progress, "last_line", -100.0)

    assert list(track("ab", 2, "test")) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_labelled_bar_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    loop = track("abc", 3, "embedding train")
    next(loop)
    time.sleep(0.3)
    shown = sys.stderr.getvalue()
    loop.close()

    assert "embedding train" in shown and "0/3" in shown
    assert list(track("abc", 3, "again")) == list("abc")


def test_durations() -> None:
    assert [clock(s) for s in (4.6, 754, 10800)] == ["0:05", "12:34", "3:00:00"]


def test_loops_inside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)

    assert [(a, b) for a in track("ab", 2, "outer") for b in track("cd", 2, "inner")] == [
        *(("a", "c"), ("a", "d")),
        *(("b", "c"), ("b", "d")),
    ]

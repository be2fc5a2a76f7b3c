"""The runs of one command: a multirun goes on after a failure, and ends with one table."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmark.cli.catalogue import GROUPS
from benchmark.cli.compose import words_of
from benchmark.cli.errors import answer
from benchmark.cli.quoting import unquoted
from benchmark.core import ExitCode
from benchmark.distributed import rank
from benchmark.report.render import render
from benchmark.report.render.terminal import folded
from benchmark.report.table import Column, Report, Table
from benchmark.results.record import Record


class Finished(NamedTuple):
    """What a run says at its end, and its Records, one for each seed."""

    summary: str = ""
    end: str = ""
    records: Sequence[Record] = ()


class Ended(NamedTuple):
    """How a run of a multirun ended."""

    choices: dict[str, str]
    """Setting -> value, as given on the command line or by a suite."""
    state: str
    """done, skipped, or failed."""
    result: str
    """Its score, or the sentence that says why it failed."""
    cause: str = ""
    """The sentence without what is this run's own: equal in runs that failed alike."""
    source: str = ""
    """The data set that the sentence names, if it does."""
    records: Sequence[Record] = ()


class SeveralRuns:
    """Hydra's task function `job`, and what became of each run."""

    def __init__(self, run: Callable[[Any, bool], Finished]) -> None:
        self.run = run
        self.ended = list[Ended]()

    def job(self, cfg: Any) -> Exception | None:
        """Carry out one run. Of several a failure is noted, and the others go on.

        The error of a single run is returned, because Hydra would print lines of its own.
        """
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        hydra: Any = HydraConfig.get()
        alone = hydra.mode == RunMode.RUN
        words = [word.lstrip("+") for word in words_of(hydra) if "=" in word]
        choices = {key: unquoted(value) for key, _, value in (w.partition("=") for w in words)}
        if not alone:
            words = [f"[{len(self.ended) + 1}]", *map("=".join, choices.items())]
            print(folded(" ".join(words)), flush=True)
        try:
            finished = self.run(cfg, alone)
            if alone:
                return None
            state = "skipped" if finished.end.startswith("skipped") else "done"
            result = finished.summary.partition("\n")[0].partition(": ")[2]
            ended = Ended(choices, state, result, records=finished.records)
        except Exception as error:  # whatever ends one run, the others go on
            if alone or isinstance(error, BrokenPipeError):
                return error
            sentence, _ = answer(error)
            source, cause = str(cfg.task.get("source")).partition(":")[2], sentence
            for text in sorted(filter(None, [source, *choices.values()]), key=len, reverse=True):
                cause = cause.replace(text, "…")
            if cause not in {other.cause for other in self.ended}:
                print(f"error: {sentence}", file=sys.stderr)
            named = source if source and source in sentence else ""
            ended = Ended(choices, "failed", sentence, cause, named)
        self.ended.append(ended)
        return None

    def show(self) -> ExitCode:
        """Print a row for each run of a multirun and each cause of failure; the exit status."""
        causes = {e.cause: e.result for e in reversed(self.ended) if e.state == "failed"}
        numbers = {cause: f"failed ({n})" for n, cause in enumerate(reversed(causes), 1)}
        keys = dict.fromkeys(key for ended in self.ended for key in ended.choices)
        varying = [k for k in keys if len({ended.choices.get(k) for ended in self.ended}) > 1]
        shown = varying or [key for key in keys if key in GROUPS[:3]] or list(keys)[:1]
        rows = [
            [
                *(ended.choices.get(key, "–") for key in shown),
                numbers.get(ended.cause, ended.state),
                "–" if ended.cause else ended.result,
            ]
            for ended in self.ended
        ]
        states = Counter(ended.state for ended in self.ended)
        notes = []
        for n, cause in enumerate(numbers, 1):
            alike = [e.source for e in self.ended if e.cause == cause]
            others = [f"; likewise {', '.join(s)}" for s in [[*dict.fromkeys(alike)][1:]] if s]
            notes.append(f"({n}) {causes[cause]}{''.join(others)}")
        notes.append(", ".join(f"{states[state]} {state}" for state in states))
        columns = [*map(Column, shown), Column("run"), Column("score")]
        if rows and not rank():
            table = Table("All runs of this command", columns, rows, notes, names=len(shown))
            print("\n" + render(Report([table])), flush=True)
        return ExitCode.FAILED if causes else ExitCode.DONE

"""`python -m benchmark VERB key=value ...`: everything that is not a run."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from inspect import cleandoc
from itertools import count
from pathlib import Path
from shutil import get_terminal_size
from textwrap import fill
from typing import NamedTuple

from benchmark.cli.catalogue import default_name
from benchmark.cli.quoting import quoted, unquoted
from benchmark.cli.verbs.audit import show_audit
from benchmark.cli.verbs.check import show_check
from benchmark.cli.verbs.compare import show_compare
from benchmark.cli.verbs.gate import show_gate
from benchmark.cli.verbs.leaderboard import show_leaderboard
from benchmark.cli.verbs.listing import show_list
from benchmark.cli.verbs.request import Request
from benchmark.cli.verbs.series import show_series
from benchmark.cli.verbs.store import show_store
from benchmark.cli.verbs.why import show_why
from benchmark.core import UserError, unknown
from benchmark.report.render import FORMATS
from benchmark.results.storage import default_results


class Verb(NamedTuple):
    """What a verb does with a request, and the settings that it takes.

    A setting takes those below it as well: `model` takes `model.path=`. Words without "=" are the
    values of `bare`, in turn, or of NAME.0, NAME.1, ... if `bare` is "NAME.". The exit status is
    what `do` returns, 0 for None.
    """

    do: Callable[[Request], int | None]
    takes: Sequence[str]
    bare: Sequence[str] = ()
    several: bool = False
    """Whether commas separate values, as in a multirun."""


VERBS = {
    "list": Verb(show_list, ("group", "format"), bare=("group",)),
    "leaderboard": Verb(
        show_leaderboard,
        (
            *("results", "by", "area", "suite", "task", "method", "family", "since"),
            *("max_parameters", "format"),
        ),
    ),
    "gate": Verb(
        show_gate,
        (
            *("candidate", "baseline", "results", "margins", "junit", "message", "promote"),
            *("reason", "format"),
        ),
        bare=("candidate",),
    ),
    "series": Verb(
        show_series,
        (
            *("checkpoints", "suite", "task", "early", "method", "model", "x", "figure", "results"),
            *("mirror", "store", "device", "dtype", "batch_tokens", "limit", "seed", "seeds"),
            *("rerun", "format"),
        ),
        bare=("checkpoints",),
        several=True,
    ),
    "compare": Verb(
        show_compare,
        ("models", "results", "task", "method", "metric", "test", "by", "figures", "format"),
        bare=("models.",),
    ),
    "audit": Verb(show_audit, ("task", "mirror", "results", "format"), bare=("task",)),
    "check": Verb(
        show_check, ("model", "device", "dtype", "batch_tokens", "format"), bare=("model",)
    ),
    "store": Verb(show_store, ("store", "clear", "format")),
    "why": Verb(show_why, ("a", "b", "results", "format"), bare=("a", "b")),
}
SETTINGS = {
    "group": "tasks, models, methods, metrics or suites; default: all of them",
    "format": "terminal (default), markdown, csv, latex or json",
    "config_dir": "your own folder of yamls, also as --config-dir DIR",
    "results": "folder of results",
    "by": "identity, method, rank, generation; compare: band or a column",
    "area": "an area, such as structure",
    "suite": "a suite of `list suites`",
    "family": "the beginning of models' names, a model class, or baseline",
    "since": "the earliest date of a result, as 2026-01-31",
    "max_parameters": "the largest model, as 8M",
    "task": "a task of `list tasks`; task.KEY=VALUE changes its settings",
    "model": "a model of `list models`; model.KEY=VALUE changes its settings",
    "mirror": "folder that replaces the hub for data sets",
    "device": "cpu, cuda, cuda:1 or auto (default)",
    "dtype": "float32, bfloat16 or auto (default)",
    "batch_tokens": "residues in a batch, padding included",
    "store": "folder of the embedding store",
    "models": "what is compared: models.0=A models.1=B is the same as A B",
    "method": "a method of `list methods`; several as linear,zero_shot",
    "metric": "ranking (default: the one that ranks), all or a name",
    "test": "test set: ranking (default), all or a name",
    "figures": "folder for scatter plots; also lists what differs most",
    "clear": "the group of embeddings to remove, or all",
    "a": "a result: its file, folder or key",
    "candidate": "a model in results=, a folder of results, or one in it",
    "baseline": "frozen copy of a folder of results, of one model",
    "margins": "yaml that changes the margins of conf/gate/default.yaml",
    "junit": "file for the verdicts as JUnit XML",
    "message": "file for the verdict as one line",
    "promote": "true: the candidate replaces the baseline, unless it fails",
    "reason": "why it is promoted; written to promoted.json",
    "checkpoints": "folder, pattern or list of checkpoints; list of models",
    "early": "suite or task to run and show first",
    "x": "tokens, flops or step; default: the first that is known",
    "figure": "PNG file; default: series_TASK.png in results=",
    "rerun": "true: run again what has a result",
    "limit": "at most this many examples of each split",
    "seed": "the seed of a run",
    "seeds": "several seeds, as 0,1,2",
    "b": "another result",
}
"""What the settings of verbs mean."""
HELP = ("--help", "-h", "help")
"""Words that ask for help."""
DEFAULTS = {"audit": "task", "check": "model"}
"""What a verb takes from conf/config.yaml if it is not given, and names."""


def help_of(name: str) -> str:
    """How to call a verb, what it does, and its settings."""
    verb = VERBS[name]
    width = get_terminal_size().columns
    described = [fill(part, width) for part in cleandoc(str(verb.do.__doc__)).split("\n\n")]
    call = " ".join(["python -m benchmark", name, *(f"[{word.upper()}]" for word in verb.bare)])
    call = call.replace("[MODELS.]", "A B [C ...]")
    rows = [f"  {key + '=':<13} {SETTINGS[key]}" for key in (*verb.takes, "config_dir")]
    return "\n".join([f"{call} [key=value ...]", "", "\n\n".join(described), "", *rows])


def spelled_out(name: str, words: Sequence[str]) -> list[str]:
    """A verb's words as key=value; --config-dir DIR is the same as config_dir=DIR."""
    found, rest = list[str](), iter(words)
    several = VERBS[name].bare[-1:] == ("models.",)
    bare = (f"models.{n}" for n in count()) if several else iter(VERBS[name].bare)
    for word in rest:
        if word in ("--config-dir", "-cd"):
            word = f"config_dir={next(rest, '')}"
        elif not re.match(r"[-+\w.]+=", word) or Path(word).exists():
            word = f"{place}={word}" if (place := next(bare, None)) else word
        found.append(word.removeprefix("--").replace("config-dir=", "config_dir=", 1))
    return found


def run_verb(name: str, words: Sequence[str]) -> int:
    """Run a verb with key=value words."""
    verb = VERBS[name]
    for word in words:
        key, equals, _ = word.lstrip("+").partition("=")
        if key.partition(".")[0] not in (*verb.takes, "config_dir") or not equals:
            takes = " ".join(f"{key}=..." for key in verb.takes)
            raise UserError(f"{name} takes {takes}, not {word!r}")
    options = {key: unquoted(value) for key, _, value in (word.partition("=") for word in words)}
    if "results" in verb.takes and "results" not in options:
        options["results"] = os.environ.get("BENCHMARK_RESULTS") or str(default_results())
        words = [*words, f"results={options['results']}"]
    if (form := options.get("format", "terminal")) not in FORMATS:
        raise unknown("format", form, FORMATS)
    if (group := DEFAULTS.get(name)) and group not in options:
        print(f"{group}={default_name(group)} (the default)", file=sys.stderr)
    folder = Path(options["config_dir"]) if "config_dir" in options else None
    if folder and not folder.is_dir():
        raise UserError(f"config_dir={folder} is not a folder")
    own = ("config_dir=", "format=")  # not of a run
    rest = [word for word in words if not word.startswith(own)]
    if {"mirror", "device"} & set(verb.takes):  # others compose nothing, and start without Hydra
        rest = quoted(rest, verb.several)
    return verb.do(Request(options, rest, [folder] if folder else [])) or 0

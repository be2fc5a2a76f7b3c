"""`python -m benchmark VERB key=value ...`: everything that is not a run."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

from benchmark.cli.catalogue import default_name
from benchmark.cli.quoting import quoted, unquoted
from benchmark.cli.verbs.audit import show_audit
from benchmark.cli.verbs.check import show_check
from benchmark.cli.verbs.compare import show_compare
from benchmark.cli.verbs.leaderboard import show_leaderboard
from benchmark.cli.verbs.listing import show_list
from benchmark.cli.verbs.request import Request
from benchmark.cli.verbs.store import show_store
from benchmark.cli.verbs.why import show_why
from benchmark.core import UserError, unknown
from benchmark.report.render import FORMATS
from benchmark.report.render.terminal import folded
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


VERBS = {
    "list": Verb(show_list, ("group", "format"), bare=("group",)),
    "leaderboard": Verb(show_leaderboard, ("results", "by", "format")),
    "compare": Verb(
        show_compare,
        ("models", "results", "method", "metric", "test", "by", "figures", "format"),
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
    "by": "leaderboard: identity or method; compare: band, length or a stored column",
    "task": "a task of `list tasks`; task.KEY=VALUE changes its settings",
    "model": "a model of `list models`; model.KEY=VALUE changes its settings",
    "mirror": "folder that replaces the hub for data sets",
    "device": "cpu, cuda, cuda:1 or auto (default)",
    "dtype": "float32, bfloat16 or auto (default)",
    "batch_tokens": "residues in a batch, padding included",
    "store": "folder of the embedding store",
    "models": "what is compared: models.0=A models.1=B is the same as A B",
    "method": "results of this method only; several as linear,zero_shot",
    "metric": "ranking (default: the one that ranks), all or a name",
    "test": "test set: ranking (default), all or a name",
    "figures": "folder for a scatter plot of each task; shows the examples that differ most",
    "clear": "the group of embeddings to remove, or all",
    "a": "a result: its file, folder or key",
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
    call = " ".join(["python -m benchmark", name, *(f"[{word.upper()}]" for word in verb.bare)])
    call = call.replace("[MODELS.]", "A B [C ...]")
    rows = [f"  {key + '=':<14}{SETTINGS[key]}" for key in (*verb.takes, "config_dir")]
    return "\n".join([f"{call} [key=value ...]", "", folded(str(verb.do.__doc__)), "", *rows])


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
    rest = quoted([word for word in words if not word.startswith(own)])
    return verb.do(Request(options, rest, [folder] if folder else [])) or 0

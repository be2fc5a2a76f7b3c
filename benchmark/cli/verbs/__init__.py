"""`python -m benchmark VERB key=value ...`: everything that is not a run."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.cli.verbs.audit import show_audit
from benchmark.cli.verbs.check import show_check
from benchmark.cli.verbs.leaderboard import show_leaderboard
from benchmark.cli.verbs.listing import show_list
from benchmark.cli.verbs.request import Request
from benchmark.cli.verbs.store import show_store
from benchmark.cli.verbs.why import show_why
from benchmark.core import UserError
from benchmark.results.reference import default_results


class Verb(NamedTuple):
    """What a verb does with a request, and the settings that it takes.

    A setting takes those below it as well: `model` takes `model.path=`. Words without "=" are the
    values of `bare`, in turn. The exit status is what `do` returns, 0 for None.
    """

    do: Callable[[Request], int | None]
    takes: Sequence[str]
    bare: Sequence[str] = ()


VERBS = {
    "list": Verb(show_list, ("group", "format", "config_dir"), bare=("group",)),
    "leaderboard": Verb(show_leaderboard, ("results", "by", "format")),
    "audit": Verb(show_audit, ("task", "mirror", "results", "config_dir"), bare=("task",)),
    "check": Verb(show_check, ("model", "device", "dtype", "batch_tokens", "config_dir")),
    "store": Verb(show_store, ("store", "clear", "format")),
    "why": Verb(show_why, ("a", "b", "results", "format"), bare=("a", "b")),
}


def spelled_out(name: str, words: Sequence[str]) -> list[str]:
    """A verb's words as key=value; --config-dir DIR is the same as config_dir=DIR."""
    found, rest = list[str](), iter(words)
    bare = iter(VERBS[name].bare)
    for word in rest:
        if word in ("--config-dir", "-cd"):
            word = f"config_dir={next(rest, '')}"
        elif re.fullmatch(r"[\w./~-]+", word) and (place := next(bare, None)):
            word = f"{place}={word}"
        found.append(word.removeprefix("--").replace("config-dir=", "config_dir=", 1))
    return found


def run_verb(name: str, words: Sequence[str]) -> int:
    """Run a verb with key=value words."""
    from omegaconf import OmegaConf

    verb = VERBS[name]
    for word in words:
        key, equals, _ = word.lstrip("+").partition("=")
        if key.partition(".")[0] not in verb.takes or not equals:
            takes = " ".join(f"{key}=..." for key in verb.takes) or "no settings"
            raise UserError(f"{name} takes {takes}, not {word!r}")
    if "results" in verb.takes and not any(word.startswith("results=") for word in words):
        words = [*words, f"results={os.environ.get('BENCHMARK_RESULTS') or default_results()}"]
    options: Any = OmegaConf.to_container(OmegaConf.from_cli(list(words)))
    folder = Path(str(options["config_dir"])) if "config_dir" in options else None
    if folder and not folder.is_dir():
        raise UserError(f"config_dir={folder} is not a folder")
    rest = [word for word in words if not word.startswith("config_dir=")]
    return verb.do(Request(options, rest, [folder] if folder else [])) or 0

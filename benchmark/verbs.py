"""`python -m benchmark VERB key=value ...`: everything that is not a run."""

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, get_args

from benchmark.catalogue import GROUPS, config_folders, names
from benchmark.compose import build, compose
from benchmark.core import Area, UserError


class Request(NamedTuple):
    """The words after a verb."""

    options: Mapping[str, Any]
    words: Sequence[str]
    """As they came, for `benchmark.compose`; without config_dir."""
    folders: Sequence[Path]
    """The user's own folder of yaml files, if there is one."""


def show_list(request: Request) -> None:
    """Tasks (area, kind, metric, sizes, source), metrics, models, methods and suites."""
    from omegaconf import OmegaConf
    from rich.console import Console
    from rich.table import Table

    from benchmark import metrics

    console = Console(highlight=False)
    folders = [*config_folders(), *request.folders]
    tasks = {name: with_parents(folders, "task", name) for name in names("task", folders)}
    line = "{:<27} {:<24} {:<8} {}".format
    console.print(
        line("task=", "asks for", "metric", "train/valid/test"), style="bold", soft_wrap=True
    )
    for area in get_args(Area):
        if not any(task["area"] == area for task in tasks.values()):
            continue
        console.print(f"\n{area}", style="bold")
        for name, task in tasks.items():
            if task["area"] == area:
                kind = f"{task['_target_']} {task.get('kind', '')}".rsplit(".", 1)[-1].strip()
                sizes = "/".join(f"{size:,}" for size in (task.get("sizes") or {}).values())
                print(line(name, kind, task["metrics"][0], sizes))
                console.print(f"  {task['source']}", style="dim", highlight=False)
    console.print(f"\n[bold]metrics[/bold] {', '.join(sorted(metrics.known()))}", highlight=False)
    for group in GROUPS[1:]:
        listed = Table(title=f"{group}s", title_justify="left", box=None, pad_edge=False)
        listed.add_column(("+" if group == "suite" else "") + f"{group}=")
        listed.add_column("what")
        for name in names(group, folders):
            file = find(folders, group, name)
            first = file.read_text(encoding="utf-8").splitlines()
            notes = [line[2:] for line in first if line.startswith("# ") and "@package" not in line]
            loaded: Any = OmegaConf.load(file)
            listed.add_row(name, notes[0] if notes else str(loaded.get("path", "")))
        console.print()
        console.print(listed)


def find(folders: Sequence[Path], group: str, name: str) -> Path:
    """The yaml of this name; ours comes first, as it does in a run."""
    return next(f for folder in folders if (f := folder / group / f"{name}.yaml").is_file())


def with_parents(folders: Sequence[Path], group: str, name: str) -> dict[str, Any]:
    """A yaml's values over those of the yamls of its group that its defaults name."""
    from omegaconf import OmegaConf

    values: Any = OmegaConf.to_container(OmegaConf.load(find(folders, group, name)))
    merged: dict[str, Any] = {}
    for parent in values.pop("defaults", []):
        if isinstance(parent, str) and parent != "_self_":
            merged |= with_parents(folders, group, parent)
    return {**merged, **values}


def show_leaderboard(request: Request) -> None:
    """Make the tables again from the Records in results=DIR; show them, or by=identity, method."""
    from rich.console import Console
    from rich.markdown import Markdown

    from benchmark import leaderboard
    from benchmark.breakdown import by_identity, by_method
    from benchmark.quoted import read_quoted

    results = Path(str(request.options.get("results", "results"))).expanduser()
    views = {"identity": by_identity, "method": by_method}
    by = request.options.get("by")
    if by is not None and by not in views:
        raise UserError(f"by={by} is not known; there is by={', by='.join(views)}")
    cells = leaderboard.require(leaderboard.write(results), results)
    text = views[by](cells) if by else leaderboard.markdown(cells, read_quoted(results))
    lines = text.replace("<br>", " ").splitlines()
    # a table is as wide as it needs: in a narrower one numbers would be cut off
    parts = [line.strip("|").split("|") for line in lines if line.startswith("|")]
    needed = sum(max(map(len, column)) + 1 for column in zip_longest(*parts, fillvalue=""))
    console = Console()
    console.width = max(console.width, needed)
    console.print(Markdown("\n".join(lines)))


def show_audit(request: Request) -> None:
    """Tell how near each test protein is to train and valid; score the Records by it."""
    from benchmark import leaderboard
    from benchmark.audit import audit
    from benchmark.results import check_writable

    cfg = compose(request.words, request.folders)
    folder = Path(str(cfg.results)).expanduser()
    check_writable(folder)
    audit(build(cfg.task), folder)
    leaderboard.write(folder)


def show_check(request: Request) -> int:
    """Try what a backbone promises; the exit status is 1 if a promise is not kept."""
    from rich.console import Console

    from benchmark.check import findings

    def make(dtype: str | None = None) -> Any:
        model = compose(request.words, request.folders).model
        if dtype is not None and "dtype" in model:
            model.dtype = dtype
        return build(model)

    line = "{:<55} {:<26} {:<18} {}".format
    Console(highlight=False).print(
        line("promise", "found", "allowed", ""), style="bold", soft_wrap=True
    )
    kept = []
    for finding in findings(make(), make):
        kept.append(finding.kept)
        told = "kept" if finding.kept else "NOT KEPT"
        print(line(finding.promise, finding.found, finding.allowed, told))
    print(f"{sum(kept)} of {len(kept)} promises are kept")
    return 0 if all(kept) else 1


def show_store(request: Request) -> None:
    """The embeddings in store=DIR, by group; clear=GROUP removes one, clear=all everything."""
    from rich.console import Console
    from rich.table import Table

    from benchmark import store

    folder = store.folder_of(request.options.get("store", os.environ.get("BENCHMARK_STORE")))
    if clear := request.options.get("clear"):
        store.clear(folder, str(clear))
    groups = store.groups(folder)
    table = Table(box=None, pad_edge=False)
    for head in ("group", "layer", "dtype", "model"):
        table.add_column(head, no_wrap=head != "model", overflow="fold")
    for head in ("vectors", "MB", "last used"):
        table.add_column(head, justify="right", no_wrap=True)
    for group in groups:
        about, count, used = group.about(), group.entries(), time.localtime(group.used)
        layer = str(about.get("layer", ""))
        if group.level == "protein":
            layer += f" {about.get('pooling', '')}"
        table.add_row(
            group.folder.name,
            layer,
            str(about.get("dtype", "")),
            str(about.get("model", "")),
            "damaged" if count is None else f"{count:,}",
            f"{group.size / 1e6:,.1f}",
            time.strftime("%Y-%m-%d", used),
        )
    if groups:
        Console(highlight=False).print(table)
    print(f"{folder}: {sum(group.size for group in groups) / 1e9:.3f} GB")


def show_why(request: Request) -> None:
    """Which settings, data, weights and versions set two results apart, and what else differs."""
    from rich.console import Console
    from rich.table import Table

    from benchmark.results import differences, find

    results = Path(str(request.options.get("results", "results"))).expanduser()
    if set(request.options) - {"results"} != {"a", "b"}:
        raise UserError("why compares two results; give two keys, folders or files of Records")
    records = [find(str(request.options[name]), results) for name in ("a", "b")]
    console = Console(highlight=False)
    for title, parts in differences(*records).items():
        table = Table(box=None, pad_edge=False)
        for head in (title, *(str(record.path) for record in records)):
            table.add_column(head, overflow="fold")
        for name, values in parts.items():
            table.add_row(name, *values)
        if parts:
            console.print(table)
    same = records[0].key == records[1].key
    print("the same run: equal keys" if same else "different runs: the keys differ")


class Verb(NamedTuple):
    """What a verb does with a request, and the settings that it takes.

    A setting takes those below it as well: `model` takes `model.path=`. Words without "=" are the
    values of `bare`, in turn. The exit status is what `do` returns, 0 for None.
    """

    do: Callable[[Request], int | None]
    takes: Sequence[str]
    bare: Sequence[str] = ()


VERBS = {
    "list": Verb(show_list, ("config_dir",)),
    "leaderboard": Verb(show_leaderboard, ("results", "by")),
    "audit": Verb(show_audit, ("task", "mirror", "results", "config_dir"), bare=("task",)),
    "check": Verb(show_check, ("model", "device", "dtype", "batch_tokens", "config_dir")),
    "store": Verb(show_store, ("store", "clear")),
    "why": Verb(show_why, ("a", "b", "results"), bare=("a", "b")),
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
    options: Any = OmegaConf.to_container(OmegaConf.from_cli(list(words)))
    folder = Path(str(options["config_dir"])) if "config_dir" in options else None
    if folder and not folder.is_dir():
        raise UserError(f"config_dir={folder} is not a folder")
    rest = [word for word in words if not word.startswith("config_dir=")]
    return verb.do(Request(options, rest, [folder] if folder else [])) or 0

"""`python -m benchmark VERB key=value ...`: everything that is not a run."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.catalogue import GROUPS, config_folders, names
from benchmark.core import UserError


def show_list(options: Mapping[str, Any]) -> None:
    """Tasks (area, kind, metric, sizes, source), metrics, models, methods and suites."""
    from omegaconf import OmegaConf
    from rich.console import Console
    from rich.table import Table

    from benchmark import metrics

    console = Console(highlight=False)
    own = options.get("config_dir")
    folders = config_folders(["--config-dir", str(own)] if own else [])
    if not folders[-1].is_dir():
        raise UserError(f"config_dir={own} is not a folder")
    tasks = {name: with_parents(folders, "task", name) for name in names("task", folders)}
    line = "{:<27} {:<24} {:<8} {}".format
    console.print(line("task=", "asks for", "metric", "train/valid/test"), style="bold")
    for area in dict.fromkeys(task["area"] for task in tasks.values()):
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


def show_leaderboard(options: Mapping[str, Any]) -> None:
    """Make the tables again from the Records in results=DIR, and show them."""
    from rich.console import Console
    from rich.markdown import Markdown

    from benchmark import leaderboard

    results = Path(str(options.get("results", "results"))).expanduser()
    cells = leaderboard.require(leaderboard.write(results), results)
    Console().print(Markdown(leaderboard.markdown(cells).replace("<br>", " ")))


VERBS: dict[str, tuple[Callable[[Mapping[str, Any]], None], Sequence[str]]] = {
    "list": (show_list, ("config_dir",)),
    "leaderboard": (show_leaderboard, ("results",)),
}


def run_verb(name: str, words: Sequence[str]) -> None:
    """Run a verb with key=value words; --config-dir DIR is the same as config_dir=DIR."""
    from omegaconf import OmegaConf

    verb, allowed = VERBS[name]
    words = re.sub(r"--config-dir[ =]", "config_dir=", " ".join(words)).split()
    for word in words:
        if word.partition("=")[0] not in allowed or "=" not in word:
            takes = " ".join(f"{key}=..." for key in allowed) or "no settings"
            raise UserError(f"{name} takes {takes}, not {word!r}")
    options: Any = OmegaConf.to_container(OmegaConf.from_cli(list(words)))
    verb(options)

"""`list`: what can be named on the command line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from benchmark.cli.catalogue import GROUPS, config_folders, names
from benchmark.cli.verbs.request import Request
from benchmark.core import Area


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

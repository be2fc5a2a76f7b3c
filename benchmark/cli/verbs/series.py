"""`series`: the checkpoints of a training, from their runs to one figure."""

import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.cli.catalogue import config_folders, default_name
from benchmark.cli.checkpoints import AXES, Axis, choose_axis, find_checkpoints, number, positions
from benchmark.cli.quoting import COMMA, quote, unquoted
from benchmark.cli.verbs.request import Request
from benchmark.core import UserError
from benchmark.report.suites import merged, names

CHOICES = ("model.path", "model.revision", "model")
"""What may name a checkpoint."""
LONGEST = 100
"""Characters of the task names in the name of a figure."""
OWN = ("checkpoints", "suite", "early", "task", "x", "figure", *CHOICES)
"""Settings that are not passed to a run as they are."""


class Chosen(NamedTuple):
    """The checkpoints of a series."""

    key: str
    """The setting that names them: one of `CHOICES`."""
    names: Sequence[str]
    models: Sequence[Mapping[str, Any]]
    """What is known of their settings before a run."""
    words: Sequence[str]
    """The words of a multirun that name all of them."""


def show_series(request: Request) -> int:
    """Run tasks on the checkpoints of a training run and show scores against training progress.

    Checkpoints are a folder of folders, a pattern such as 'runs/step_*', a list of either or of
    models, or model.revision=a,b,c. Runs that have a result are skipped. early=NAME runs a small
    suite or task on all checkpoints first and shows its scores.
    """
    options, given = request.options, dict(word.partition("=")[::2] for word in request.words)
    if {"suite", "task"} <= set(options):
        raise UserError("suite= and task= are both given; give one of them")
    folders = [*config_folders(), *request.folders]
    chosen = choose(options.get("checkpoints", ""), given, folders)
    facts = {key: value for key, value in given.items() if key.startswith("model.facts.")}
    axis, places = places_of(chosen, facts, options.get("x"))
    rest = [f"{key}={value}" for key, value in given.items() if key not in {*OWN, *facts}]
    rest += [word for folder in request.folders for word in ("--config-dir", str(folder))]
    suite, early, status = options.get("suite"), options.get("early"), 0
    last = f"+suite={suite}" if suite else f"task={options.get('task') or default_name('task')}"
    first = f"+suite={early}" if early in names("suite", folders) else f"task={early}"
    for task in [first, last] if early else [last]:
        words = [task, *chosen.words, *rest]
        status = max(status, run_and_show(request, words, chosen.key, axis, places))
    return status


def run_and_show(
    request: Request, words: Sequence[str], key: str, axis: Axis, places: Mapping[str, float]
) -> int:
    """Carry out a multirun, and show the series of its Records; the exit status of the runs."""
    from benchmark.cli.job import run, run_hydra
    from benchmark.cli.several_runs import SeveralRuns
    from benchmark.distributed import rank
    from benchmark.report.series import Checkpoint, draw, series

    runs = SeveralRuns(run)
    sys.argv[1:] = ["-m", *words]
    with redirect_stdout(sys.stderr):  # standard output is for the report
        status = run_hydra(runs)
    ended = [ended for ended in runs.ended if key in ended.choices]
    last = {name: Path(name).name for name in places}
    labels = last if len(set(last.values())) == len(last) else {name: name for name in places}
    records = {n: [r for e in ended if e.choices[key] == n for r in e.records] for n in places}
    checkpoints = [
        Checkpoint(labels[name], place, records[name])
        for name, place in sorted(places.items(), key=lambda item: item[1])
    ]
    if not rank() and any(checkpoint.records for checkpoint in checkpoints):
        results = Path(request.options["results"]).expanduser()
        name = re.sub(r"[^\w.-]+", "_", words[0].partition("=")[2])[:LONGEST]  # tasks or a suite
        file = Path(request.options.get("figure", results / f"series_{name}.png")).expanduser()
        report = series(checkpoints, axis, results)
        request.show(report)
        draw(report, axis, file)
        print(file, file=sys.stderr)
    return status


def choose(source: str, given: Mapping[str, str], folders: Sequence[Path]) -> Chosen:
    """The checkpoints that the words of the command line name; folders: those of the yamls."""
    words = {key: given[key] for key in reversed(CHOICES) if key in given}
    source = source or words.get("model.path", "")
    lists = [key for key in words if len(COMMA.split(words[key])) > 1]
    if lists in (["model.revision"], ["model"]) and source == words.get("model.path", ""):
        key, found = lists[0], split(words[lists[0]])
    elif source and not set(lists) - {"model.path"}:
        found, key = split(unquoted(source)), "model"
        if not set(found) <= set(names("model", folders)):
            found = [str(path) for part in found for path in find_checkpoints(part)]
            words, key = {"model": "huggingface", **words}, "model.path"
        words[key] = ",".join(map(quote, found)) if key == "model.path" else ",".join(found)
    else:
        raise UserError(
            "series takes one list of checkpoints: a folder of folders, a pattern such as "
            "'runs/step_*', models separated by commas, or model.revision=A,B"
        )
    models: list[dict[str, Any]] = [{"path": name} if key == "model.path" else {} for name in found]
    if key == "model":
        models = [merged(folders, "model", name) for name in found]
    return Chosen(key, found, models, [f"{key}={value}" for key, value in words.items()])


def split(text: str) -> list[str]:
    """The parts between commas, each once."""
    return list(dict.fromkeys(unquoted(part.strip()) for part in COMMA.split(text)))


def places_of(
    chosen: Chosen, facts: Mapping[str, str], axis: str | None
) -> tuple[Axis, dict[str, float]]:
    """The axis of a series, and the place of each checkpoint on it.

    facts: model.facts.tokens=A,B and the like, which have a value for each checkpoint.
    """
    known = positions(chosen.names, chosen.models)
    for key, text in facts.items():
        name, values = key.rpartition(".")[2].removeprefix("training_"), COMMA.split(unquoted(text))
        if name not in AXES:
            raise UserError(
                f"{key} is no place in a training; give model.facts.tokens, flops, step"
            )
        if len(values) != len(known):
            raise UserError(
                f"{key} has {len(values)} values for {len(known)} checkpoints; give one each"
            )
        for place, value in zip(known, values, strict=True):
            place |= {a: number(value, key) for a in AXES if a == name}
    chosen_axis = choose_axis(known, axis)
    return chosen_axis, {
        name: place[chosen_axis] for name, place in zip(chosen.names, known, strict=True)
    }

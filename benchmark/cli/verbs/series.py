"""`series`: the checkpoints of a training, from their runs to one figure."""

import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from benchmark.cli.catalogue import config_folders, default_name
from benchmark.cli.checkpoints import AXES, Axis, choose_axis, find_checkpoints, number, positions
from benchmark.cli.quoting import COMMA, quote, unquoted
from benchmark.cli.verbs.request import Request
from benchmark.core import UserError
from benchmark.report.suites import names

CHOICES = ("model.path", "model.revision", "model")
"""What may name a checkpoint."""
OWN = ("checkpoints", "suite", "early", "task", "x", "figure", *CHOICES)
"""Settings that are not passed to a run as they are."""


def show_series(request: Request) -> int:
    """Run tasks on the checkpoints of a training and show their scores against its progress.

    Checkpoints are a folder of folders, a pattern such as 'runs/step_*', a list of either or of
    models, or model.revision=a,b,c. Only what has no result yet is run. early=NAME runs a small
    suite or task on all checkpoints first and shows its scores.
    """
    options, given = request.options, dict(word.partition("=")[::2] for word in request.words)
    if {"suite", "task"} <= set(options):
        raise UserError("suite= and task= are both given; give one of them")
    model, count = words_of_models(request, given)
    facts = {key: value for key, value in given.items() if key.startswith("model.facts.")}
    known = {key.rpartition(".")[2].removeprefix("training_"): v for key, v in facts.items()}
    listed = {axis: numbers(axis, known[axis], count) for axis in AXES if axis in known}
    rest = [f"{k}={v}" for k, v in given.items() if k not in {*OWN, *facts}]
    rest += [word for folder in request.folders for word in ("--config-dir", str(folder))]
    suites, status = names("suite", [*config_folders(), *request.folders]), 0
    tasks = [f"task={options.get('task') or default_name('task')}"]
    last = [f"+suite={options['suite']}"] if "suite" in options else tasks
    if early := options.get("early"):
        first = [f"+suite={early}" if early in suites else f"task={early}"]
        status = run_and_show(request, [*first, *model, *rest], listed)
    return max(status, run_and_show(request, [*last, *model, *rest], listed))


def run_and_show(request: Request, words: Sequence[str], listed: dict[Axis, list[float]]) -> int:
    """Carry out a multirun, and show the series of its Records; the exit status of the runs."""
    from benchmark.cli.job import run, run_hydra
    from benchmark.cli.several_runs import SeveralRuns
    from benchmark.distributed import rank
    from benchmark.report.series import Checkpoint, draw, series

    runs = SeveralRuns(run)
    sys.argv[1:] = ["-m", *words]
    with redirect_stdout(sys.stderr):  # standard output is for the report
        status = run_hydra(runs)
    found = [ended for ended in runs.ended if ended.records]
    if rank() or not found:
        return status
    chosen = {key: [ended.choices.get(key, "") for ended in runs.ended] for key in CHOICES}
    by = max(CHOICES, key=lambda key: len(set(chosen[key])))
    labels = list(dict.fromkeys(chosen[by]))
    mine = {label: [e for e in found if e.choices[by] == label] for label in labels}
    known = positions(labels, [mine[label][0].model if mine[label] else {} for label in labels])
    for axis, values in listed.items():
        for place, value in zip(known, values, strict=True):
            place[axis] = value
    places = {label: place for label, place in zip(labels, known, strict=True) if mine[label]}
    axis = choose_axis(list(places.values()), request.options.get("x"))
    checkpoints = [
        Checkpoint(label, place[axis], [r for ended in mine[label] for r in ended.records])
        for label, place in places.items()
    ]
    checkpoints.sort(key=lambda checkpoint: checkpoint.place)
    results = Path(request.options["results"]).expanduser()
    file = Path(request.options.get("figure", results / "series.png")).expanduser()
    report = series(checkpoints, axis, results)
    draw(report, axis, file)
    request.show(report)
    print(file, file=sys.stderr)
    return status


def words_of_models(request: Request, given: dict[str, str]) -> tuple[list[str], int]:
    """The words of a multirun that name the checkpoints, and how many there are."""
    words = {key: given[key] for key in ("model", "model.path", "model.revision") if key in given}
    source = request.options.get("checkpoints") or words.pop("model.path", "")
    if "model.revision" in words and not request.options.get("checkpoints"):
        words |= {"model.path": source} if source else {}
    elif source:
        parts = [unquoted(part.strip()) for part in COMMA.split(unquoted(source))]
        known = names("model", [*config_folders(), *request.folders])
        if all(part in known for part in parts):
            words["model"] = ",".join(parts)
        else:
            paths = [str(path) for part in parts for path in find_checkpoints(part)]
            words = {"model": "huggingface", **words}
            words["model.path"] = ",".join(map(quote, paths))
    counts = [len(COMMA.split(value)) for value in words.values()]
    if not words or (counts.count(1) < len(counts) - 1):
        raise UserError(
            "series takes one list of checkpoints: a folder of folders, a pattern such as "
            "'runs/step_*', models separated by commas, or model.revision=A,B"
        )
    return [f"{key}={value}" for key, value in words.items()], max(counts)


def numbers(axis: Axis, text: str, count: int) -> list[float]:
    """The values of model.facts.tokens=A,B: one for each checkpoint."""
    values = [number(part, f"model.facts.{axis}") for part in COMMA.split(unquoted(text))]
    if len(values) != count:
        raise UserError(
            f"model.facts.{axis} has {len(values)} values for {count} checkpoints; give one each"
        )
    return values

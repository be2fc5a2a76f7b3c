"""The command line. Composes a run, runs it, keeps the tables.

Only this file and `benchmark.compose` know Hydra.
"""

import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, NoReturn

from yaml import YAMLError

from benchmark.catalogue import GROUPS, check_names, config_folders, unknown
from benchmark.compose import build, settings_of
from benchmark.core import UserError
from benchmark.ranks import rank
from benchmark.verbs import VERBS, run_verb, spelled_out

if TYPE_CHECKING:
    from benchmark.results import Record
    from benchmark.store import Store

NAME = r"(?!\.+$)[\w.+=@-]+"
"""What the name of a model may be."""
LARGEST_SEED = 2**32 - 1
"""Of scikit-learn."""


def main() -> None:
    """Run `sys.argv`; a mistake of the user's ends in one sentence and a non-zero exit."""
    argv = sys.argv[1:]
    if rank():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "·" loses it, not the run
    # as Ctrl-C, so that a scheduler's kill leaves no scratch files either
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if argv and argv[0] in VERBS:
            sys.exit(do_verb(argv))
        elif argv and "=" not in argv[0] and not argv[0].startswith("-"):
            raise unknown("verb", argv[0], list(VERBS))
        else:
            check_names(argv)
            sys.argv[1:] = with_seeds(argv)
            run_hydra()
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail(
            "interrupted; what was finished is kept, and a training that had saved its state goes "
            "on from there when it is run again",
            130,
        )
    except BrokenPipeError:
        os._exit(1)  # the reader of our output has gone
    except (OSError, YAMLError, MemoryError) as error:
        fail(explain(error))


def do_verb(argv: list[str]) -> int:
    """Run a verb, and return its exit status; Hydra's complaints become sentences here, too."""
    try:
        words = spelled_out(argv[0], argv[1:])
        check_names(words)
        return run_verb(argv[0], words)
    except UserError:
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("hydra", "omegaconf"):
            raise
        raise UserError(explain(error)) from None


def with_seeds(argv: Sequence[str]) -> list[str]:
    """Write seeds=0,1,2 as a list: to Hydra it is a choice, which is for sweeps alone."""
    given = {word.lstrip("+").partition("=")[0] for word in argv}
    if {"seed", "seeds"} <= given:
        raise UserError("seed= and seeds= are both given; give one of them")
    return [re.sub(r"^seeds=(?!null$)([^\[({]*)$", r"seeds=[\1]", word) for word in argv]


def fail(sentence: str, status: int = 1) -> NoReturn:
    """Say what is wrong and exit."""
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(status)


def run_hydra() -> None:
    """Let Hydra compose the run or the runs, and turn its complaints into sentences."""
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us whole
    decorate = hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
    try:
        decorate(job)()
    except JobError:
        sys.exit(1)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(explain(error)) from None


class JobError(Exception):
    """One job of several has failed, and its sentence was printed; the others still run."""


def job(cfg: Any) -> None:
    """One of Hydra's jobs. A failure ends a single run, but not the other runs of a sweep."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf.errors import OmegaConfBaseException

    try:
        run(cfg)
    except (UserError, OSError, MemoryError, HydraException, OmegaConfBaseException) as error:
        if HydraConfig.get().mode == RunMode.RUN:
            fail(explain(error))
        print(f"error: {explain(error)}", file=sys.stderr)
        raise JobError from None


def explain(error: Exception) -> str:
    """The sentence that tells a user what is wrong."""
    from omegaconf.errors import MissingMandatoryValue

    if isinstance(error.__cause__, UserError | OSError | TypeError | MemoryError):
        return explain(error.__cause__)  # Hydra wraps what a constructor raises
    if isinstance(error, OSError):
        return f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
    if isinstance(error, MemoryError):
        return (
            "out of memory; cut all chains with task.max_length=..., lower batch_tokens=..., or "
            "spread the model with model.device_map=auto"
        )
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is missing; give {error.full_key}=..."
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if isinstance(error, YAMLError):
        return f"a yaml file cannot be read: {text}"
    if found := re.match(r"Error locating target '(.+?)'", text):
        reason = error.__cause__ or "it is not there"
        return f"cannot import {found[1]} ({reason}); modules are looked for where you are, too"
    if found := re.match(r"(\w+)\.__init__\(\) missing .*?: (.+)", text):
        lacks = f"{found[1]} lacks the settings {found[2]}"
        return f"{lacks}; give them in its yaml, or, if it reads a table, its line of defaults"
    if found := re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(.+)'", text):
        return f"{found[1]} has no setting {found[2]!r}; remove it from the yaml"
    if found := re.match(r"Could not override '(.+?)'", text):
        return str(unknown("setting", found[1], known_settings()))
    return text


def known_settings() -> list[str]:
    """Every setting of the run that the command line chose, as words of the command line."""
    words = [w for w in sys.argv[1:] if w.split("=")[0] in GROUPS[:3] and "," not in w]
    return settings_of(words, config_folders(sys.argv[1:])[1:])


def run(cfg: Any) -> None:
    """One run, with the store open."""
    from omegaconf import OmegaConf

    from benchmark import store
    from benchmark.backbones.checkpoint import remembered

    config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    check_settings(config)
    with store.opened(config["store"], config["store_gb"]) as kept:
        remembered.set(kept.digests if kept else None)
        carry_out(cfg, config, kept)


def carry_out(cfg: Any, config: dict[str, Any], kept: "Store | None") -> None:
    """Evaluate, save, show."""
    from hydra.core.hydra_config import HydraConfig

    from benchmark import leaderboard, results
    from benchmark.evaluate import clock
    from benchmark.run import Run, summary

    started = time.perf_counter()
    seconds: dict[str, float] = {}
    folder = Path(config["results"])
    results.check_writable(folder)
    seeds = config.pop("seeds") or [config["seed"]]
    with clock(seconds, "load"):
        parts = {name: build(cfg[name]) for name in ("task", "method")}
        prepared = Run.prepare(
            config=config,
            choices=HydraConfig.get().runtime.choices,
            name=model_name(HydraConfig.get(), config),
            make_backbone=lambda: build(cfg.model),
            store=kept,
            **parts,
        )
    records, ends = [], list[str]()
    try:
        for seed in seeds:
            if ends:
                print(ends[-1], flush=True)  # the one before; the last is told after the tables
            run = prepared.with_seed(seed)
            path = folder / run.path
            if path.exists() and not config["rerun"]:
                records.append(results.load(path))
                ends.append(skipped(path, records[-1]))
                continue
            if config["rerun"] and not rank():
                rmtree(path.with_suffix(""), ignore_errors=True)  # else what was learned is loaded
            outcome = run.evaluate()
            seconds |= {**outcome.seconds, "total": time.perf_counter() - started}
            if not rank():
                records.append(run.record(outcome, seconds))
                results.save(records[-1], run.predictions(outcome), folder)
                ends.append(f"{path}, {seconds['total']:.1f} s")
            started, seconds = time.perf_counter(), {}  # what is loaded is loaded once
    except KeyboardInterrupt:
        if records and not rank():
            leaderboard.write(folder)  # the seeds before are there
        raise
    if rank():
        return
    try:
        leaderboard.tell(folder, records[-1])
    finally:  # the Records are there, even where a table cannot be written
        print(f"{summary(records)}\n{ends[-1]}")


def skipped(path: Path, record: "Record") -> str:
    """What to say where the Record of a run exists."""
    from benchmark.code import own_digest

    other = record.environment.get("code") != own_digest()
    note = ", made by other code of the same declared versions" if other else ""
    return f"skipped: result exists ({path}{note}); rerun=true runs it again"


def check_settings(config: dict[str, Any]) -> None:
    """Refuse settings of a run that Hydra lets through."""
    try:
        json.dumps(config, allow_nan=False)
    except ValueError:
        raise UserError("a setting is inf or nan; give finite numbers, or null") from None
    path = config["model"].get("path")
    if path is not None and not isinstance(path, str):
        raise UserError(f"model.path={path} is not allowed; give a hub id or a folder, as ./{path}")
    for name, lowest in {"limit": 1, "batch_tokens": 1, "seed": 0}.items():
        value = config[name]
        if value is None and name == "limit":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise UserError(f"{name}={value} is not allowed; give a whole number from {lowest} on")
    if config["seed"] > LARGEST_SEED:
        raise UserError(f"seed={config['seed']} is not allowed; {LARGEST_SEED} is the largest")
    if config["seeds"] is not None:
        config["seeds"] = check_seeds(config["seeds"])
    if config["name"] is not None and not re.fullmatch(NAME, str(config["name"])):
        raise UserError(
            f"name={config['name']} is not allowed; give letters, digits and any of . _ + = @ -"
        )
    if not isinstance(config["rerun"], bool):
        raise UserError(f"rerun={config['rerun']} is not allowed; give true or false")
    room = config["store_gb"]
    if not isinstance(room, int | float) or isinstance(room, bool) or room < 0:
        raise UserError(f"store_gb={room} is not allowed; give a number of gigabytes, 0 or more")
    if config["store"] is False:  # what "off" is in a yaml file
        config["store"] = "off"
    for name in ("results", "mirror", "store"):
        value = config[name]
        if value is None and name != "results":
            continue
        if not isinstance(value, str) or not value:
            raise UserError(f"{name}={value} is not allowed; give a folder")
        config[name] = str(Path(value).expanduser())


def check_seeds(seeds: object) -> list[int]:
    """Several seeds, each once."""
    whole = isinstance(seeds, list) and all(
        type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in seeds
    )
    if not isinstance(seeds, list) or not whole or not seeds or len(set(seeds)) < len(seeds):
        told = ",".join(map(str, seeds)) if isinstance(seeds, list) else seeds
        raise UserError(
            f"seeds={told} is not allowed; give whole numbers from 0 on, each once, as in "
            "seeds=0,1,2"
        )
    return seeds


def model_name(hydra: Any, config: dict[str, Any]) -> str:
    """A model's name in the tables: its yaml's, or that of the model.path of the command line."""
    path = config["model"].get("path")
    given = any(word.startswith("model.path=") for word in hydra.overrides.task)
    if path is None or not given:
        return str(hydra.runtime.choices["model"])
    # a link keeps its own name, so this is not Path.resolve
    name = Path(os.path.abspath(Path(path).expanduser())).name  # noqa: PTH100
    return re.sub(r"[^\w.+=@-]", "_", name) or "model"

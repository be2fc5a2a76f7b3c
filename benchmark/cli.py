"""The command line: the only file that knows Hydra. Composes a run, runs it, keeps the tables."""

import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from benchmark.catalogue import GROUPS, check_names, unknown
from benchmark.core import UserError
from benchmark.verbs import VERBS, run_verb

PLACES = ("_target_", "path", "revision", "device", "dtype", "batch_tokens", "trust_remote_code")
"""Model settings that say where or how fast, not what: they set no rows of a table apart."""


def main() -> None:
    """Run `sys.argv`; a mistake of the user's ends in one sentence and a non-zero exit."""
    argv = sys.argv[1:]
    try:
        if argv and argv[0] in VERBS:
            run_verb(argv[0], argv[1:])
        elif argv and "=" not in argv[0] and not argv[0].startswith("-"):
            raise unknown("verb", argv[0], list(VERBS))
        else:
            check_names(argv)
            run_hydra()
    except UserError as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted; nothing of the unfinished run was written", 130)
    except BrokenPipeError:
        os._exit(1)  # the reader of our output has gone
    except OSError as error:
        fail(explain(error))


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
    except (HydraException, OmegaConfBaseException) as error:
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
    except (UserError, OSError, HydraException, OmegaConfBaseException) as error:
        if HydraConfig.get().mode == RunMode.RUN:
            fail(explain(error))
        print(f"error: {explain(error)}", file=sys.stderr)
        raise JobError from None


def explain(error: Exception) -> str:
    """The sentence that tells a user what is wrong."""
    from omegaconf.errors import MissingMandatoryValue

    if isinstance(error.__cause__, UserError | OSError | TypeError):
        return explain(error.__cause__)  # Hydra wraps what a constructor raises
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}; nothing of the unfinished run was written"
    if isinstance(error, MissingMandatoryValue):
        return f"{error.full_key} is missing; give {error.full_key}=..."
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if found := re.match(r"Could not override '(.+?)'", text):
        return str(unknown("setting", found[1], known_settings()))
    return text


def known_settings() -> list[str]:
    """Every setting of the run that the command line chose, as words of the command line."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    groups = [w for w in sys.argv[1:] if w.split("=")[0] in GROUPS[:3] and "," not in w]
    with initialize_config_module("conf", version_base="1.3"):
        composed: Any = OmegaConf.to_container(compose("config", overrides=groups))
    nested = [
        flat(key, value) if isinstance(value, dict) else {key: 0} for key, value in composed.items()
    ]
    return [key for keys in nested for key in keys]


def run(cfg: Any) -> None:
    """One run: evaluate, save, show."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from benchmark import leaderboard, metrics, results
    from benchmark.data import digest_examples
    from benchmark.evaluate import clock, evaluate, limited

    started = time.perf_counter()
    seconds: dict[str, float] = {}
    config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    choices = HydraConfig.get().runtime.choices
    folder = Path(config["results"])
    check_settings(config)
    results.check_writable(folder)

    with clock(seconds, "load"):
        task = instantiate(cfg.task, _convert_="all")
        scorers = [metrics.find(name) for name in task.metrics]
        splits = limited(task.load(), config["limit"])
        backbone = instantiate(cfg.model, _convert_="all")
        method = instantiate(cfg.method, _convert_="all")
    data = {
        name: digest_examples(examples)
        for name, examples in {"train": splits.train, "valid": splits.valid, **splits.tests}.items()
    }
    settings = {
        "dtype": backbone.dtype,
        **flat("model", {k: v for k, v in config["model"].items() if k not in PLACES}),
        **flat("method", {k: v for k, v in config["method"].items() if k != "_target_"}),
    }
    asked = {k: v for k, v in config["task"].items() if k != "mirror"}
    version = results.package_version("plm-benchmark")
    key = results.make_key([asked, settings, config["limit"], data, backbone.digest, version])
    model = config["name"] or model_name(choices["model"], config["model"].get("path"))
    names = {"task": choices["task"], "model": model, "method": choices["method"], "key": key}
    path = folder.joinpath(*names.values()) / f"seed{config['seed']}.json"
    if path.exists():
        record = results.load(path)
        print(f"{summary(record)}\ndone before, nothing was run; delete {path} to run it again")
        return

    outcome = evaluate(task, splits, backbone, method, scorers, config["seed"])
    seconds |= outcome.seconds
    seconds["total"] = time.perf_counter() - started
    record = results.Record(
        **names,
        area=task.area,
        version=task.version,
        seed=config["seed"],
        limit=config["limit"],
        primary=task.metrics[0],
        higher_is_better={scorer.name: scorer.higher_is_better for scorer in scorers},
        scores={name: test.scores for name, test in outcome.tests.items()},
        intervals={name: test.intervals for name, test in outcome.tests.items()},
        examples={
            "train": len(splits.train),
            "valid": len(splits.valid),
            **{name: len(examples) for name, examples in splits.tests.items()},
        },
        scored={name: test.scored for name, test in outcome.tests.items()},
        units={name: test.units for name, test in outcome.tests.items()},
        notes=dict(splits.notes),
        data=data,
        config=config,
        settings=settings,
        choices=dict(outcome.choices),
        backbone={"digest": backbone.digest, "dtype": backbone.dtype, **backbone.facts()},
        seconds={phase: round(value, 3) for phase, value in seconds.items()},
        environment=results.environment(),
        created=results.now(),
    )
    rows: dict[str, list[Any]] = {}
    for name, test in outcome.tests.items():
        for example, kept in zip(splits.tests[name], test.predictions, strict=True):
            cells = {"test": name, "id": example.id, "group": example.group}
            for column, value in (cells | dict(task.rows(example, kept))).items():
                rows.setdefault(column, []).append(value)
    results.save(record, rows, folder)
    tables = leaderboard.write(folder)
    if record.limit is None:
        leaderboard.show_task(tables, record)
    print(f"{summary(record)}\n{path}, {seconds['total']:.1f} s")


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuse settings of a run that Hydra lets through."""
    for name, lowest in {"limit": 1, "batch_tokens": 1, "seed": 0}.items():
        value = config[name]
        if value is None and name == "limit":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
            raise UserError(f"{name}={value} is not allowed; give a whole number from {lowest} on")
    name = config["name"]
    if name is not None and (
        not isinstance(name, str) or set(name) & set("/\\") or name[:1] in ".-"
    ):
        raise UserError(f"name={name} is not allowed; give a word without slashes")


def model_name(choice: str, path: str | None) -> str:
    """A model's name in the tables: its yaml's, or its folder's, or the last part of a hub id."""
    if path and (choice == "huggingface" or Path(path).expanduser().is_dir()):
        return Path(path).expanduser().resolve().name
    return choice


def flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as one level, `prefix.key`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(f"{prefix}.{key}", value)
        else:
            result[f"{prefix}.{key}"] = value
    return result


def summary(record: Any) -> str:
    """The run in a line: score, interval, and what a reader must know to trust it."""
    test = next(iter(record.scores))
    score = record.scores[test].get(record.primary)
    interval = record.intervals[test].get(record.primary)
    units = record.units[test]
    text = f"{record.task} · {record.model} · {record.method}: {record.primary} "
    text += "undefined" if score is None else f"{score:.3f}"
    if interval:
        text += f" [{interval[0]:.3f}, {interval[1]:.3f}] (95 %, {units:,} units)"
    elif score is not None:
        text += f" ({units} units: too few for an interval)"
    lines = [text]
    if record.limit is not None:
        lines.append(f"limit={record.limit}: a quick try, kept out of the leaderboard")
    if published := record.notes.get("published_sizes"):
        have = ", ".join(
            f"{name} {record.examples.get(name, 0):,} of {n:,}" for name, n in published.items()
        )
        lines.append(f"not the published sizes: {have}")
    for split, changes in record.notes.get("changes", {}).items():
        altered = {k: v for k, v in changes.items() if k != "rows"}
        if altered:
            told = ", ".join(
                f"{value:,} {name.replace('_', ' ')}" for name, value in altered.items()
            )
            lines.append(f"{split}: of {changes['rows']:,} rows {told}")
    return "\n".join(lines)

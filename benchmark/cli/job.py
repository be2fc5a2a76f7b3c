"""One composed run, from Hydra's configuration to the tables.

Only this file, `benchmark.cli.errors` and `benchmark.cli.compose` know Hydra.
"""

import logging
import os
import time
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

from benchmark.cli.combinations import check_combination, check_training
from benchmark.cli.compose import build, compose_model, with_current_names
from benchmark.cli.settings import check_settings, model_name
from benchmark.cli.several_runs import Finished, SeveralRuns
from benchmark.core import UserError
from benchmark.distributed import rank
from benchmark.results import storage
from benchmark.results.predictions import has_predictions
from benchmark.results.record import Record
from benchmark.run.code_digest import own_digest

JUDGES = "pocket_clm_m", "pocket_clm_l"
"""Of generated sequences: the first one, or the second for those of the first."""


def run_hydra(runs: SeveralRuns | None = None) -> int:
    """Let Hydra compose the runs, carry them out, and return the exit status.

    runs: where a verb finds the Records afterwards.
    """
    import hydra

    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors reach us whole
    for library in ("matplotlib", "jax", "absl"):  # font caches, missing accelerators
        logging.getLogger(library).setLevel(logging.ERROR)
    runs, error = runs or SeveralRuns(run), None

    def job(cfg: Any) -> None:
        nonlocal error
        error = error or runs.job(cfg)

    try:
        with TemporaryDirectory(prefix="benchmark-") as folder:
            os.environ["BENCHMARK_SWEEP"] = folder  # for files that Hydra writes
            hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")(job)()
    finally:
        status = runs.show()
    if error:
        raise error
    return status


def run(cfg: Any, alone: bool) -> Finished:
    """One run with the store open; its summary and how it ended; empty in other processes."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from benchmark.backbones.checkpoint import remembered
    from benchmark.embedding import store
    from benchmark.run.usage import reset_peaks

    reset_peaks()
    cfg = with_current_names(cfg)
    config: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    check_settings(config)
    choices = HydraConfig.get().runtime.choices
    check_training(config, choices)
    judge = judge_of(cfg, config)
    parts = {"task": build(cfg.task), "method": build(cfg.method), "judge": judge}
    check_combination(parts["task"], parts["method"], config=config, choices=choices)
    with store.opened(config["store"], config["store_gb"]) as opened:
        remembered.set(opened.digests if opened else None)
        parts |= {"make_backbone": lambda: build(cfg.model), "store": opened}
        try:
            return carry_out(config, parts, alone)
        except UserError as error:  # methods know the class of the model, and users its name
            backbone = f"the backbone {str(cfg.model.get('_target_')).rpartition('.')[2]} "
            raise UserError(str(error).replace(backbone, f"model={choices['model']} ")) from None


def judge_of(cfg: Any, config: dict[str, Any]) -> Any:
    """The model that the task names as its judge, None without; "auto" becomes its name."""
    from omegaconf import OmegaConf

    from benchmark.run.execution import JudgeModel

    if (given := config["task"].get("judge")) is None:
        return None
    shared = [f"{name}={config[name]}" for name in ("device", "dtype", "batch_tokens")]
    for name in JUDGES if given == "auto" else (given,):
        model = compose_model(str(name), shared)
        if given != "auto" or model.path != config["model"].get("path"):
            break
    cfg.task.judge = config["task"]["judge"] = name
    settings: Any = OmegaConf.to_container(model, resolve=True)
    return JudgeModel(name, settings, lambda: build(model))


def carry_out(config: dict[str, Any], parts: dict[str, Any], alone: bool) -> Finished:
    """Evaluate, save, show; parts: task, method and others of `Run.prepare`."""
    from hydra.core.hydra_config import HydraConfig

    from benchmark.report import leaderboard
    from benchmark.report.render.terminal import folded
    from benchmark.report.rescore import complete
    from benchmark.run.evaluation import clock
    from benchmark.run.execution import Run
    from benchmark.run.summary import summary

    started, seconds = time.perf_counter(), dict[str, float]()
    folder, hydra = Path(config["results"]), HydraConfig.get()
    storage.check_writable(folder)
    seeds = config.pop("seeds") or [config["seed"]]
    with clock(seconds, "load"):
        name = model_name(hydra, config)
        prepared = Run.prepare(config=config, choices=hydra.runtime.choices, name=name, **parts)
    records, ends = list[Record](), list[str]()
    try:
        for seed in seeds:
            if ends:
                print(folded(ends[-1]), flush=True)  # the last one is printed after the tables
            run = prepared.with_seed(seed)
            path = folder / run.path
            if path.exists() and has_predictions(path) and not config["rerun"]:
                if run.audit and not rank() and storage.load(path).audit != run.audit.facts:
                    complete(run.task, run.splits, run.identity["data"], run.audit, folder)
                records.append(storage.load(path))
                ends.append(skipped(path, records[-1]))
                continue
            if path.exists() and not rank() and not list(path.with_suffix("").rglob("state.pt")):
                rmtree(path.with_suffix(""), ignore_errors=True)  # what the finished run learned
            outcome = run.evaluate()
            seconds |= {**outcome.seconds, "total": time.perf_counter() - started}
            if not rank():
                records.append(run.record(outcome, seconds))
                storage.save(records[-1], run.predictions(outcome), folder)
                ends.append(f"{path}, {seconds['total']:.1f} s")
            started, seconds = time.perf_counter(), {}  # only the first seed loads
    except KeyboardInterrupt:
        if records and not rank():
            leaderboard.write(folder)  # the finished seeds
        raise
    if rank():
        return Finished()
    lines = [summary(records), ends[-1]]
    try:
        leaderboard.tell(folder, records[-1], table=alone)
    finally:  # the Records are there, even where a table cannot be written
        print(folded("\n".join(lines)), flush=True)
    return Finished(lines[0], lines[1], records)


def skipped(path: Path, record: Record) -> str:
    """What is printed if the Record of a run exists."""
    other = record.environment.get("code") != own_digest()
    note = ", made by other code of the same declared versions" if other else ""
    return f"skipped: result exists ({path}{note}); rerun=true runs it again"

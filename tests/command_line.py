"""The command line for tests: in this process, or as a process of its own."""

import contextlib
import contextvars
import importlib
import io
import logging
import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from benchmark.cli.main import main
from benchmark.run import code_digest

ROOT = Path(__file__).parents[1]
OURS = {"benchmark", "tasks", "conf", "tests"}
HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)
"""Warnings that Python does not show by default."""


class Completed(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def run_cli(*words: str, cwd: Path, env: dict[str, str] | None = None) -> Completed:
    """Run a command in this process, as `python -m benchmark` does in the folder `cwd`.

    Takes a fraction of a second where a new process takes five. Afterwards the process is in its
    previous state: environment, folder, import path, modules of `cwd`, signal handler, logging.
    env: variables to set beside those of this process
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, {"COLUMNS": "160", **(env or {})}),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        patch.object(sys, "argv", ["benchmark", *words]),
        importing_from(cwd),
        process_state(),
    ):
        try:
            contextvars.copy_context().run(main)
            returncode = 0
        except SystemExit as end:
            returncode = status(end)
        except Exception:
            traceback.print_exc()
            returncode = 1
    return Completed(returncode, out.getvalue(), err.getvalue())


def status(end: SystemExit) -> int:
    """The exit status that the interpreter derives from `sys.exit(code)`."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    print(end.code, file=sys.stderr)
    return 1


@contextlib.contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Import a user's modules from `folder`, without bytecode, and forget them afterwards."""
    before = set(sys.modules)
    importlib.invalidate_caches()
    code_digest.is_local.cache_clear()
    try:
        with (
            patch.object(sys, "path", [str(folder), *sys.path]),
            patch.object(sys, "dont_write_bytecode", True),
        ):
            yield
    finally:
        new = [name for name in set(sys.modules) - before if name.partition(".")[0] not in OURS]
        for name in [
            name for name in new if lies_in(name, folder)
        ]:  # all are found before one is removed
            del sys.modules[name]
        sys.path_importer_cache.pop(str(folder), None)
        code_digest.is_local.cache_clear()


def lies_in(module: str, folder: Path) -> bool:
    """Whether a loaded module, or a package without a file, was found in a folder."""
    loaded = sys.modules[module]
    places = [getattr(loaded, "__file__", None), *getattr(loaded, "__path__", ())]
    return any(place and Path(place).is_relative_to(folder) for place in places)


@contextlib.contextmanager
def process_state() -> Iterator[None]:
    """Warnings as in a new process; Hydra, signal handlers and logging restored at the end."""
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    root = logging.getLogger()
    loggers, level = list(root.handlers), root.level
    GlobalHydra.instance().clear()
    try:
        with warnings.catch_warnings():
            warnings.resetwarnings()
            for category in HIDDEN:
                warnings.simplefilter("ignore", category)
            warnings.showwarning = show_warning
            yield
    finally:
        for kind, handler in handlers.items():
            signal.signal(kind, handler)
        root.handlers[:] = loggers
        root.setLevel(level)
        HydraConfig.instance().cfg = None
        GlobalHydra.instance().clear()


def show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    """Print a warning where a process prints it."""
    sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def environment(**more: str) -> dict[str, str]:
    """The environment of a process that imports this checkout from any folder."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", **more}


def run_process(*words: str, cwd: Path, **env: str) -> Completed:
    """Run a command as a process of its own: for what only a process can show."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmark", *words],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
    )
    return Completed(done.returncode, done.stdout, done.stderr)


def refused(done: Completed | subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a refusal."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line

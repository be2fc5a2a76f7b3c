"""The words of the command line: a verb or a run, and how either ends."""

import io
import os
import re
import signal
import sys
import time
import traceback
from collections.abc import Sequence

from benchmark import __version__, progress
from benchmark.cli.catalogue import (
    check_names,
    check_not_shadowed,
    check_one_name,
    with_folder_last,
)
from benchmark.cli.errors import answer, fail, is_explained
from benchmark.cli.job import run_hydra
from benchmark.cli.quoting import quoted
from benchmark.cli.verbs import HELP, VERBS, help_of, run_verb, spelled_out
from benchmark.core import ExitCode, UserError, unknown
from benchmark.distributed import rank
from benchmark.results.storage import default_results
from benchmark.run.environment import may_have_gpu

OPTIONS = ("--help", "--version", "-m", "--config-dir")
VALUED = ("--config-dir", "--cfg", "-c", "--package", "-p")
FLAGS = (*OPTIONS, "--multirun", "--info", "-i", "--resolve", "--hydra-help", "--run", "-r")
"""Options of Hydra's that work here; those in `VALUED` are followed by a word."""
FIRST_RUN = """
q8: share of residues whose secondary structure, one of eight states, a linear
probe predicts from the model's embeddings; baselines use no trained model. Next:
  python -m benchmark +suite=pocket model=pocket_clm_l    # five tasks, offline
  python -m benchmark list                                # tasks, models, methods"""
"""What the score of the bare run means, and what to type next."""


def main() -> None:
    """Run `sys.argv`. Invalid input gives a one-line error and a non-zero exit code."""
    argv = [word for word in sys.argv[1:] if word != "debug=true"]
    debug = len(argv) < len(sys.argv) - 1
    allow_gpu_arrays(argv)
    progress.last_line = time.monotonic()
    if rank():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without "·" loses it, not the run
    # as Ctrl-C, so that a scheduler's kill leaves no scratch files either
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        check_not_shadowed()
        argv = with_folder_last(argv)
        if "--version" in argv:
            print(f"plm-benchmark {__version__}")
            status = 0
        elif argv and argv[0] in VERBS:
            status = do_verb(argv)
        elif argv and not re.match("[-~]|.*=", argv[0]) and argv[0] not in HELP:
            raise unknown("command", argv[0], list(VERBS))
        else:
            status = do_runs(argv)
        sys.stdout.flush()  # a closed pipe is noticed here, not at exit
        sys.exit(status)
    except KeyboardInterrupt:
        fail(
            "interrupted; finished runs are saved, and the same command resumes a training from "
            "its last saved state",
            ExitCode.INTERRUPTED,
        )
    except BrokenPipeError:
        os._exit(ExitCode.FAILED)  # the reader of our output has gone
    except Exception as error:
        if debug:
            traceback.print_exc()
            sys.exit(ExitCode.USER_ERROR if is_explained(error) else ExitCode.BUG)
        fail(*answer(error))


def allow_gpu_arrays(argv: Sequence[str]) -> None:
    """Let the probe fit on a GPU, if the run may use one: SciPy reads this when it is imported."""
    given = [word.partition("=")[2] for word in argv if word.lstrip("+").startswith("device=")]
    device = given[-1] if given else "auto"
    if "cuda" in device or ("auto" in device and may_have_gpu()):
        os.environ.setdefault("SCIPY_ARRAY_API", "1")


def do_verb(argv: list[str]) -> int:
    """Run a verb, or show its help, and return the exit status."""
    if set(HELP) & set(argv[1:]):
        print(help_of(argv[0]))
        return 0
    words = spelled_out(argv[0], argv[1:])
    check_names(words)
    return run_verb(argv[0], words)


def do_runs(argv: Sequence[str]) -> int:
    """Carry out a run or a multirun, and return the exit status."""
    several = bool({"-m", "--multirun"} & set(argv)) or any("suite=" in word for word in argv)
    check_words(argv)
    check_names(argv)
    check_one_name(argv)
    words = ["--help" if word in HELP else word for word in with_seeds(argv)]
    words.sort(key=lambda word: word not in ("-m", "--multirun"))  # Hydra takes it there alone
    sys.argv[1:] = quoted(words, several)
    os.environ.setdefault("BENCHMARK_RESULTS", str(default_results()))
    status = run_hydra()
    if not argv and not status:
        print(FIRST_RUN)
    return status


def check_words(argv: Sequence[str]) -> None:
    """Refuse options that there are not, and words that are no key=value pairs."""
    rest = iter(argv)
    for word in rest:
        flag = word.partition("=")[0]
        if flag in VALUED:
            next(rest, None)
        elif word.startswith("-") and flag not in (*FLAGS, *HELP):
            hint = f"; write {flag.strip('-')}=VALUE for a setting" if flag[1:2] == "-" else ""
            raise UserError(f"unknown option {flag!r}{hint}; there are {', '.join(OPTIONS)}")
        elif flag == "suite":
            raise UserError(f"a suite is added to the run: write +{word}")
        elif flag == "+suite" and "," in word:
            raise UserError(f"{word} has several values; run the suites one after another")
        elif word in VERBS:
            raise UserError(f"{word} comes first: python -m benchmark {word} ...")
        elif "=" not in word and not word.startswith(("-", "~")) and word not in HELP:
            raise UserError(f"{word!r} is not a setting; settings are key=value pairs")


def with_seeds(argv: Sequence[str]) -> list[str]:
    """Write seeds=0,1,2 as a list: to Hydra it is a choice, which is for sweeps alone."""
    given = {word.lstrip("+").partition("=")[0] for word in argv}
    if {"seed", "seeds"} <= given:
        raise UserError("seed= and seeds= are both given; give one of them")
    return [re.sub(r"^seeds=(?!null$)([^\[({]*)$", r"seeds=[\1]", word) for word in argv]

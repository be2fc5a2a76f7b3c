"""The words of the command line: a verb or a run, and how either ends."""

import io
import os
import re
import signal
import sys
from collections.abc import Sequence

from yaml import YAMLError

from benchmark.cli.array_api import allow_gpu_arrays
from benchmark.cli.catalogue import check_names
from benchmark.cli.errors import explain, fail, report_bug
from benchmark.cli.job import run_hydra
from benchmark.cli.verbs import VERBS, run_verb, spelled_out
from benchmark.core import ExitCode, UserError, unknown
from benchmark.distributed import rank
from benchmark.results.reference import default_results


def main() -> None:
    """Run `sys.argv`. Invalid input gives a one-line error and a non-zero exit code."""
    argv = [word for word in sys.argv[1:] if word != "debug=true"]
    debug = len(argv) < len(sys.argv) - 1
    allow_gpu_arrays(argv)
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
            raise unknown("command", argv[0], list(VERBS))
        else:
            check_names(argv)
            sys.argv[1:] = with_seeds(argv)
            os.environ.setdefault("BENCHMARK_RESULTS", str(default_results()))
            run_hydra()
    except UserError as error:
        if debug:
            raise
        fail(str(error))
    except KeyboardInterrupt:
        fail(
            "interrupted; finished runs are saved, and the same command resumes a training from "
            "its last saved state",
            ExitCode.INTERRUPTED,
        )
    except BrokenPipeError:
        os._exit(ExitCode.FAILED)  # the reader of our output has gone
    except (OSError, YAMLError, MemoryError) as error:
        if debug:
            raise
        fail(explain(error))
    except Exception as error:
        if debug:
            raise
        report_bug(error)


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

"""Modules of `benchmark.pocket` that have moved say where they are now."""

import subprocess
import sys
from importlib.util import find_spec

import pytest

from benchmark.pocket import MOVED, refuse_moved


@pytest.mark.parametrize("name", MOVED)
def test_a_moved_module_is_named_in_one_sentence(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        refuse_moved(["python", "-m", f"benchmark.pocket.{name}", "--out", "x"])

    assert ended.value.code == 2
    sentence = f"benchmark.pocket.{name} has moved; use benchmark.pocket.make.{name}\n"
    assert capsys.readouterr().err == sentence
    assert find_spec(f"benchmark.pocket.make.{name}")


def test_a_moved_module_ends_the_process_with_2() -> None:
    words = [sys.executable, "-m", "benchmark.pocket.build"]
    done = subprocess.run(words, capture_output=True, text=True)

    assert done.returncode == 2 and done.stderr.count("\n") == 1


def test_other_modules_are_not_refused() -> None:
    for words in (["python", "-m"], ["python", "-m", "benchmark"], ["python", "build"]):
        refuse_moved(words)

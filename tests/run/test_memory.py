"""Memory between the runs of one command."""

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.backbones.transformer import Transformer
from tests.command_line import run_cli


@pytest.fixture
def without_garbage_collection() -> Iterator[None]:
    """Only reference counts free memory, as in a large run between two collections."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_garbage_collection")
@pytest.mark.slow
def test_a_model_is_freed_before_the_next_is_built(
    tmp_path: Path, toy_conf: Path, esm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[weakref.ref[Transformer]] = []
    alive: list[int] = []
    original = Transformer.__init__

    def counted(self: Transformer, *given: Any, **named: Any) -> None:
        alive.append(sum(model() is not None for model in built))
        original(self, *given, **named)
        built.append(weakref.ref(self))

    monkeypatch.setattr(Transformer, "__init__", counted)
    words = ["--config-dir", str(toy_conf), "-m", "task=toy", "model=huggingface", "device=cpu"]
    done = run_cli(*words, f"model.path={esm_folder}", "model.layer=-1,1", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert alive == [0, 0]
    assert not any(model() for model in built), "the last model outlives the command"

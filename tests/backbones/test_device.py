"""The device of a process, errors of memory, and what goes on while a batch is copied."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.backbones import transformer, trials
from benchmark.backbones.device import memory_errors, resolve, to_device, to_host, token_budget
from benchmark.backbones.transformer import Transformer
from benchmark.core import Backbone, Level, UserError
from benchmark.embedding.extraction import Embedder
from tests.conftest import make_backbone, random_chain

CHAINS = [random_chain(np.random.default_rng(n), n) for n in (1, 7, 30, 64, 150, 31, 90, 12)]


def test_a_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cuda` and `auto` by the number of the process on its machine; a numbered one as it is."""
    used = list[torch.device]()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    monkeypatch.setenv("LOCAL_RANK", "3")
    for name, number in (("cuda", 3), ("auto", 3), ("cuda:1", 1)):
        assert resolve(name, "auto") == (torch.device("cuda", number), torch.bfloat16)
    assert [device.index for device in used] == [3, 3, 1]
    assert resolve("cpu", "auto") == (torch.device("cpu"), torch.float32)
    monkeypatch.setenv("LOCAL_RANK", "4")
    with pytest.raises(UserError, match=r"process 4 .* has no GPU .* at most 4 processes"):
        resolve("cuda", "auto")


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"), False),
    ],
)
def test_every_lack_of_memory_is_a_memory_error(error: RuntimeError, is_memory: bool) -> None:
    with pytest.raises(MemoryError if is_memory else RuntimeError), memory_errors():
        raise error


def test_the_budget_of_a_gpu_is_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the free memory, with what torch holds but does not use."""
    parameter: Any = type(
        "Parameter", (), {"device": torch.device("cuda", 0), "element_size": lambda self: 2}
    )()
    for gigabytes, width, budget in ((80, 1280, 65_536), (40, 5120, 32_768), (0, 5120, 4096)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, g=gigabytes: (g * 2**30, 0))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 3 * 2**30)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 3 * 2**30)
        assert token_budget("auto", width, parameter) == budget
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 43 * 2**30)
    assert token_budget("auto", 5120, parameter) == 32_768


class Slow(Backbone):
    """Notes when a batch is started and waited for; has room for two batches."""

    digest = "slow"
    batch_tokens = 100
    residue_dim = protein_dim = 1

    def __init__(self, room: int = 10**9) -> None:
        self.log: list[str] = []
        self.room = room
        self.held = 0

    def embed_residues(self, chains: Sequence[str]) -> list[Any]:
        return [np.full((len(chain), 1), len(chain), np.float32) for chain in chains]

    def start(self, level: Level, chains: Sequence[str]) -> Callable[[], Sequence[Any]]:
        size = sum(map(len, chains))
        if self.held + size > self.room:
            raise MemoryError
        self.held += size
        self.log.append("start")

        def wait() -> Sequence[Any]:
            self.held -= size
            self.log.append("wait")
            return self.embed_residues(chains)

        return wait


def test_the_next_batch_starts_before_one_is_waited_for() -> None:
    backbone = Slow()
    rows = list(Embedder(backbone).residues(["A" * 60, "A" * 70, "A" * 80, "A" * 90]))
    assert [len(row) for row in rows] == [60, 70, 80, 90] and rows[1][0] == 70
    assert backbone.log == ["start", *["start", "wait"] * 3, "wait"]


def test_memory_that_the_batch_before_holds_lowers_no_budget() -> None:
    backbone = Slow(room=100)
    assert len(list(Embedder(backbone).residues(["A" * 60, "A" * 70, "A" * 80]))) == 3
    assert backbone.batch_tokens == 100 and backbone.log == ["start", "wait"] * 3


def test_a_subclass_with_its_own_embedding_is_asked(esm_folder: Path) -> None:
    backbone = make_backbone("huggingface", esm_folder)
    assert isinstance(backbone, Transformer)
    for level in ("residue", "protein"):
        rows = backbone.start(level, CHAINS)()
        for row, other in zip(rows, getattr(backbone, f"embed_{level}s")(CHAINS), strict=True):
            np.testing.assert_array_equal(row, other)

    class Doubled(type(backbone)):
        def embed_proteins(self, chains: Sequence[str]) -> Any:
            return 2 * super().embed_proteins(chains)

    plain = backbone.embed_proteins(CHAINS)
    backbone.__class__ = Doubled
    found = list(Embedder(backbone).proteins(CHAINS))
    np.testing.assert_allclose(found, 2 * plain, rtol=1e-4, atol=1e-5)


def test_transfers_on_a_cpu_are_what_they_copy() -> None:
    values = np.arange(6, dtype=np.int64).reshape(2, 3)
    tensor = to_device(values, torch.device("cpu"))
    assert np.array_equal(to_host(tensor.bfloat16())(), values)


@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_packing_that_a_gpu_loses_is_reported(
    kind: str, esm_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Everywhere else padding costs little."""
    backbone = make_backbone("huggingface", esm_folder)
    assert isinstance(backbone, Transformer) and backbone.packing

    def fail(*_: Any) -> Any:
        raise RuntimeError("no kernel image")

    backbone.packing = False
    alone = [backbone.embed_residues([chain])[0] for chain in trials.PROBE]
    with monkeypatch.context() as patch:
        patch.setattr(transformer, "packed", fail)
        patch.setattr(transformer, "to_device", lambda values, _: torch.as_tensor(values))
        backbone.device = torch.device(kind)
        assert not trials.packs(backbone, alone)
    lines = ["note: batches are padded, not packed: RuntimeError: no kernel image"]
    assert capsys.readouterr().err.splitlines() == (lines if kind == "cuda" else [])

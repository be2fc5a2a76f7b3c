"""The table of all measurements, and the one model that they share."""

import pytest

from benchmark.backbones.baselines.untrained import Random
from tests.conftest import make_task
from tests.performance.table import HEADER, Table, device, dtype, matrix_rate, memory_rate

TABLE = pytest.StashKey[Table]()


@pytest.fixture(scope="session")
def table(pytestconfig: pytest.Config) -> Table:
    """The session's table; a line appears as soon as it is known."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    reporter = pytestconfig.pluginmanager.getplugin("terminalreporter")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.write_line("")
            reporter.write(line, flush=True)

    if TABLE not in pytestconfig.stash:
        pytestconfig.stash[TABLE] = Table(show)
    return pytestconfig.stash[TABLE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, and the rates of this machine."""
    found = terminalreporter.config.stash.get(TABLE, None)
    if found and found.rows:
        import torch

        name = torch.cuda.get_device_name() if device() != "cpu" else "CPU"
        rates = f"{matrix_rate(dtype()) / 1e9:,.0f} GFLOP/s, {memory_rate() / 1e9:,.1f} GB/s"
        terminalreporter.section(f"{name}, {torch.get_num_threads()} threads, {dtype()}, {rates}")
        for line in (HEADER, *map(str, found.rows)):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def backbone() -> Random:
    """Random weights in the shape of ESM-2 8M on a CPU, of ESM-2 650M on a GPU."""
    layers, dim = (6, 320) if device() == "cpu" else (33, 1280)
    return Random(
        layers=layers, dim=dim, heads=20, init_seed=0, layer=-1, pooling="mean",
        device=device(), dtype=dtype(), batch_tokens="auto",
    )  # fmt: skip


@pytest.fixture(scope="session")
def chains() -> list[str]:
    """Real chains of the embedded solubility task."""
    count = 40 if device() == "cpu" else 600
    return [example.chains[0] for example in make_task("pocket_solubility").load().train][:count]

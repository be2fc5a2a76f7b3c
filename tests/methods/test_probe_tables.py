"""Feature tables: where they are held changes nothing, they are bounded, and fits are reported."""

import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from benchmark.core import Example, FitContext, Readout, UserError
from benchmark.methods.probe import design_matrix, tables
from benchmark.methods.probe import linear as module
from benchmark.methods.probe.design_matrix import DesignMatrix
from benchmark.methods.probe.tables import new_table
from tests.conftest import toy
from tests.learning import method
from tests.methods.test_linear import ONEHOT, answer, helix, linear, touching

RESIDUES = Readout("residue", "classification", 3)
PAIRS = Readout("pair", "classification", 2, 3)


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """There is no memory for tables."""
    with monkeypatch.context() as patched:
        patched.setattr(tables, "available_memory", lambda: 0)
        yield


@pytest.mark.parametrize(("label", "readout"), [(helix, RESIDUES), (touching, PAIRS)])
@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_memory_and_disk_give_the_same_bits(
    name: str, label: Any, readout: Readout, request: pytest.FixtureRequest
) -> None:
    quick = ("epochs=1", "hidden=[4]")
    learner = linear(max_chains=30) if name == "linear" else method("mlp", *quick)
    parts = toy(label, 40), toy(label, 10, 1)
    runs = []
    for _ in range(2):
        predictor = learner.fit(*parts, FitContext(ONEHOT, readout, 0))
        runs.append(answer(predictor, toy(label, 5, 2)))
        request.getfixturevalue("on_disk")
    for one, other in zip(*runs, strict=True):
        assert np.array_equal(one, other, equal_nan=True)


def test_a_table_is_a_file_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not isinstance(new_table(10, 3, tmp_path), np.memmap)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(tables, "MEMORY", 100)
    table = new_table(10, 3, tmp_path)
    (file,) = tmp_path.iterdir()
    assert isinstance(table, np.memmap) and table.shape == (10, 3)
    assert file.stat().st_blocks * 512 >= file.stat().st_size == 120, "a sparse file"


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("limit", ["free", "cap"])
def test_a_table_that_does_not_fit_is_refused(
    limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    if limit == "free":
        monkeypatch.setattr(tables.shutil, "disk_usage", lambda _: usage._replace(free=999_999))
    else:
        monkeypatch.setattr(tables, "DISK", 999_999)
    with pytest.raises(UserError, match=r"1,000 x 250 features need a file .* set TMPDIR"):
        new_table(1000, 250, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("label", "readout"), [(helix, RESIDUES), (touching, PAIRS)])
def test_peak_memory_does_not_grow_with_the_chains(
    label: Any, readout: Readout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond labels and chains, which are far smaller than the vectors."""
    probe = linear(penalties=[100.0], max_residues=2000, max_chains=40, pairs_per_chain=20)

    def peak(count: int) -> int:
        train = toy(label, count)
        tracemalloc.start()
        fitted = probe.fit(train, train[:20], FitContext(ONEHOT, readout, 0))
        for _ in fitted.predict([example.chains for example in train]):
            pass
        _, found = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return found

    monkeypatch.setattr(ONEHOT, "batch_tokens", 60)
    peak(100)  # what is imported
    vectors = 1100 * 20 * ONEHOT.residue_dim * 4
    assert peak(1200) - peak(100) < vectors / 4


def test_a_fit_that_does_not_converge_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    train, valid = toy(helix, 60), toy(helix, 20, 1)
    context = FitContext(ONEHOT, RESIDUES, 0)
    found = linear(max_iter=2, penalties=[1.0, 1e6]).fit(train, valid, context)
    assert 1.0 in found.choices["not_converged"]
    said = capsys.readouterr().err
    assert "did not converge in 2 steps" in said and "raise method.max_iter" in said
    found = linear(max_iter=500).fit(train, valid, context)
    assert "not_converged" not in found.choices and not capsys.readouterr().err


@pytest.mark.parametrize("wide", [True, False])
def test_a_wide_fit_on_the_cpu_is_announced(
    wide: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WIDE", 3 * ONEHOT.residue_dim if wide else 10**6)
    train = toy(touching, 20)
    linear().fit(train, train, FitContext(ONEHOT, PAIRS, 0))
    said = capsys.readouterr().err
    assert ("are fitted on the CPU, in about 1 min" in said) == wide


def test_chunks_of_wide_tables_have_fewer_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(design_matrix, "NUMBERS", 1000)
    matrix = DesignMatrix(np.zeros((70, 50), np.float32), np.zeros(70), np.ones(70))
    assert [part.stop - part.start for part in matrix.chunks()] == [20] * 4


@pytest.mark.parametrize("make", [np.array, torch.tensor])
def test_features_are_standardised_as_by_scikit_learn(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also constant ones, and those whose mean is far from 0; in chunks."""
    rng = np.random.default_rng(0)
    features = rng.normal([0, 1e3, -5, 0, 0], [1, 1e-2, 1e-6, 0, 1e4], (500, 5)).astype(np.float32)
    features[:, 3] = 0.1
    monkeypatch.setattr(design_matrix, "CHUNK", 60)
    rows, held_out = (DesignMatrix(make(features), np.zeros(500), np.ones(500)) for _ in range(2))
    mean, scale = module.standardise(rows, held_out)
    expected = StandardScaler().fit(features.astype(np.float64))
    np.testing.assert_allclose(mean, expected.mean_, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(scale, expected.scale_, rtol=1e-12)
    for table in (rows, held_out):
        found = np.asarray(table.features)
        np.testing.assert_allclose(found, expected.transform(features), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_pairs_that_are_all_unknown_are_refused(name: str) -> None:
    def hidden(chain: str) -> np.ndarray[Any, Any]:
        return np.array([(i, i) for i in range(len(chain))], np.int32)

    examples: list[Example] = toy(hidden, 5)
    learner = linear() if name == "linear" else method("mlp")
    with pytest.raises(UserError, match="no example of train has a known answer"):
        learner.fit(examples, examples, FitContext(ONEHOT, PAIRS, 0))

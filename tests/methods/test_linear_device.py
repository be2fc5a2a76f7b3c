"""The path that fits on a GPU, on the CPU's tensors, against the path of NumPy and scikit-learn."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.cli.main import allow_gpu_arrays
from benchmark.core import Array, FitContext, Readout
from benchmark.methods.probe import linear as module
from benchmark.methods.probe.design_matrix import DesignMatrix
from benchmark.methods.probe.ridge import ridge
from tests.conftest import composed, toy
from tests.methods.test_linear import KMER, ONEHOT, answer, helix, linear, richest, share, touching

PENALTIES = composed("method=linear").method.penalties
Found = dict[str, tuple[list[Array], dict[str, Any]]]


def labels(chain: str) -> Array:
    return np.array([int(chain.count("W") > 1), 1, -1 if len(chain) % 2 else int("A" in chain)])


CASES: dict[str, tuple[Any, Readout, Any, dict[str, int]]] = {
    "numbers": (share, Readout("protein", "regression"), KMER, {}),
    "classes": (richest, Readout("protein", "classification", 3), KMER, {}),
    "labels": (labels, Readout("protein", "multilabel", 3), KMER, {}),
    "residues": (
        helix,
        Readout("residue", "classification", 3),
        ONEHOT,
        {"max_residues": 900},
    ),
    "pairs": (touching, Readout("pair", "classification", 2, 3), ONEHOT, {"max_chains": 50}),
}


def fitted(*names: str) -> Found:
    """Predictions and choices of cases, where `fit_device` says."""
    found: Found = {}
    for name in names:
        label, readout, backbone, settings = CASES[name]
        train, valid, test = (toy(label, n, seed) for seed, n in enumerate((120, 40, 10)))
        predictor = linear(penalties=PENALTIES, **settings).fit(
            train, valid, FitContext(backbone, readout, 0)
        )
        found[name] = answer(predictor, test), dict(predictor.choices)
    return found


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def on_tensors(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """The cases in a process that sets SCIPY_ARRAY_API before SciPy is imported."""
    file = tmp_path_factory.mktemp("device") / "found.pickle"
    code = (
        "import pickle, sys, torch\n"
        "from pathlib import Path\n"
        "from benchmark.methods.probe import linear, tables\n"
        "from tests.methods.test_linear_device import CASES, fitted\n"
        "assert tables.why_not_dispatched() == ''\n"
        "linear.fit_device = lambda backbone: torch.device(sys.argv[2])\n"
        "linear.backbone_device = lambda backbone: sys.argv[2]\n"
        "Path(sys.argv[1]).write_bytes(pickle.dumps(fitted(*CASES)))\n"
    )
    root = Path(__file__).parents[2]
    env = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, file, request.param], cwd=root, env=env, check=True)
    return pickle.loads(file.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_tensors_give_the_predictions_of_arrays(case: str, on_tensors: Found) -> None:
    (expected, choices), (found, chosen) = fitted(case)[case], on_tensors[case]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert chosen["penalty"] == choices["penalty"]
    assert chosen["sample"] == choices["sample"]


def test_the_probe_says_why_it_does_not_fit_on_the_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SciPy was imported by this process without its switch; setting it now is too late."""

    class OnGpu:
        device = torch.device("cuda:1")

    backbone: Any = OnGpu()
    for value in ("0", "1"):
        monkeypatch.setenv("SCIPY_ARRAY_API", value)
        assert module.fit_device(backbone) is None
        assert "CPU, not on cuda:1: SCIPY_ARRAY_API=1 was not set" in capsys.readouterr().err
    monkeypatch.setattr("sklearn.__version__", "1.8.2")
    assert module.fit_device(backbone) is None
    assert "scikit-learn 1.8.2 is older than 1.9" in capsys.readouterr().err
    assert module.fit_device(KMER) is None
    assert not capsys.readouterr().err


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("width", [20, 90])
def test_ridge_is_scikit_learns_on_arrays_and_tensors(
    make: Any, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    X, y = rng.normal(1, 1, (60, width)).astype(np.float32), rng.normal(1e6, 1, 60)
    for name in ("ridge", "design_matrix"):  # so that there are several chunks
        monkeypatch.setattr(f"benchmark.methods.probe.{name}.NUMBERS", 600)
    for penalty, model in ridge(DesignMatrix(make(X), y, np.ones(60)), [100.0, 1e-2]):
        expected = Ridge(alpha=penalty, solver="svd").fit(X.astype(np.float64), y)
        np.testing.assert_allclose(model.weights[:, 0], expected.coef_, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(model(X), expected.predict(X.astype(np.float64)), rtol=1e-13)


def test_train_may_stay_on_the_cpu_while_valid_is_on_the_device() -> None:
    """Where the GPU has room for one of the tables only."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(3, 2, (50, 6)).astype(np.float32), rng.normal(size=50)
    losses, readout = [], Readout("protein", "regression")
    for make in (np.array, torch.tensor):
        rows = DesignMatrix(X[:30].copy(), y[:30], np.ones(30))
        held_out = DesignMatrix(make(X[30:]), y[30:], np.ones(20))
        module.standardise(rows, held_out)
        losses.append(module.choose(ridge(rows, [10.0, 1.0]), held_out, readout)[1])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize(
    ("words", "driver", "expected"),
    [
        ("device=cuda", False, "1"),
        ("device=cuda:1 seed=0", False, "1"),
        ("device=cpu,cuda", False, "1"),
        ("device=cpu", True, None),
        ("device=cuda device=cpu", True, None),
        ("task=pocket_ss8", True, "1"),
        ("device=auto", True, "1"),
        ("", False, None),
    ],
)
def test_the_switch_is_set_only_for_a_gpu(
    words: str,
    driver: bool,
    expected: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "nvidiactl").touch()
    file = tmp_path / ("nvidiactl" if driver else "none")
    monkeypatch.setattr("benchmark.run.environment.DRIVERS", (str(file),))
    monkeypatch.delenv("SCIPY_ARRAY_API", raising=False)
    allow_gpu_arrays(words.split())
    assert os.environ.get("SCIPY_ARRAY_API") == expected
    monkeypatch.setenv("SCIPY_ARRAY_API", "0")
    allow_gpu_arrays(["device=cuda"])
    assert os.environ["SCIPY_ARRAY_API"] == "0", "the user's own value"


def test_the_command_line_is_imported_without_scipy_and_torch() -> None:
    """Else the switch would come too late."""
    code = "import sys, benchmark.cli.main; print({'scipy', 'sklearn', 'torch'} & {*sys.modules})"
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=env, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "set()"

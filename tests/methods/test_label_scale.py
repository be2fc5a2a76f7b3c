"""A constant added to all labels is added to all predictions, which are stored as float64."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import rankdata

from benchmark.backbones.transformer import Transformer
from benchmark.core import Array, Example, FitContext, Readout
from benchmark.results.predictions import column
from tests.conftest import toy
from tests.learning import method
from tests.methods.test_linear import linear

HYDROPATHY = dict(zip("AILMFVPGW", np.linspace(0.3, 2.9, 9), strict=True))


def hydropathy(chain: str) -> Array:
    return np.array([HYDROPATHY.get(letter, -0.7) for letter in chain])


READOUTS = {
    "protein": (Readout("protein", "regression"), lambda chain: hydropathy(chain).mean()),
    "residue": (Readout("residue", "regression"), hydropathy),
}


def fitted(name: str, level: str, backbone: Any, shift: float, scale: float) -> list[Array]:
    readout, label = READOUTS[level]

    def examples(count: int, seed: int) -> list[Example]:
        return toy(lambda chain: np.asarray(label(chain) * scale + shift), count, seed)

    learner = (
        linear()
        if name == "linear"
        else method(name, "epochs=2", "hidden=[8]", "lr=0.01", f"batch.{level}=8")
    )
    predictor = learner.fit(examples(40, 0), examples(12, 1), FitContext(backbone, readout, 0))
    inputs = [example.chains for example in examples(15, 2)]
    return [np.asarray(found) for found in predictor.predict(inputs)]


@pytest.mark.parametrize("level", READOUTS)
@pytest.mark.parametrize("name", ["linear", "mlp", "lora", "finetune"])
@pytest.mark.parametrize("scale", [1.0, 1e-5])
def test_a_constant_added_to_labels_is_added_to_predictions(
    name: str, level: str, scale: float, esm: Transformer
) -> None:
    label = READOUTS[level][1]
    spread = scale * float(
        np.std(np.concatenate([np.ravel(label(e.chains[0])) for e in toy(lambda _: 0, 40)]))
    )
    plain = np.concatenate([np.ravel(p) for p in fitted(name, level, esm, 0.0, scale)])
    shift = 1e6 * spread
    moved = fitted(name, level, esm, shift, scale)
    values = np.concatenate([np.ravel(p) for p in moved])

    assert values.dtype == np.float64
    assert abs(values - shift - plain).max() <= 1e-6 * spread
    np.testing.assert_array_equal(rankdata(values), rankdata(plain))
    stored = pa.table({"prediction": column(moved)})["prediction"].to_pylist()
    assert np.array_equal(np.concatenate([np.ravel(cell) for cell in stored]), values)

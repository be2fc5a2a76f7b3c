"""What `fit` is called with, and what a fitted predictor leaves to its caller."""

import inspect
from typing import Any

import pytest
import torch

from benchmark.backbones.transformer import Transformer
from benchmark.core import FitContext, Method, Splits, UserError
from benchmark.metrics import find
from benchmark.run.evaluation import evaluate
from tests.conftest import make_task
from tests.learning import LEVELS, examples, method


class Old(Method):
    """The signature before version 0.2."""

    def fit(  # type: ignore[override]
        self, backbone: Any, readout: Any, train: Any, valid: Any, seed: int, folder: Any = None
    ) -> Any:
        raise AssertionError


def test_an_old_signature_is_refused_with_the_new_one() -> None:
    task = make_task("pocket_metal")
    splits = Splits([], [], {"test": examples("protein class", 3)}, {})
    with pytest.raises(UserError, match=r"Old.fit has an old .* def fit\(self, train, valid, con"):
        evaluate(task, splits, None, Old(), [find("accuracy")], 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["lora", "finetune"])
def test_between_predictions_the_backbone_is_unchanged(name: str, esm: Transformer) -> None:
    """A caller that stops half way gets its backbone back, without autocast and adapters."""
    train = examples("residue", 16)
    state = {key: value.clone() for key, value in esm.module.state_dict().items()}
    modules = [(key, id(part)) for key, part in esm.module.named_modules()]
    fitted = method(name, "epochs=1").fit(train, train, FitContext(esm, LEVELS["residue"][0], 0))
    predicting = iter(fitted.predict([example.chains for example in train]))
    next(predicting)

    assert inspect.isgenerator(predicting) and not torch.is_autocast_enabled("cpu")
    assert [(key, id(part)) for key, part in esm.module.named_modules()] == modules
    after = esm.module.state_dict()
    assert all(torch.equal(after[key], value) for key, value in state.items())
    assert len(list(predicting)) == len(train) - 1

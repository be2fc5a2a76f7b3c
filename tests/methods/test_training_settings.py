"""Batches, schedules and settings of trainings; what is refused."""

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from benchmark.backbones.transformer import Transformer
from benchmark.core import FitContext, UserError
from benchmark.methods.finetune.schedule import effective_batches, rate
from tests.conftest import composed
from tests.learning import REAL, TRAININGS, examples, method


def test_effective_batches_hold_each_example_once() -> None:
    lengths = np.random.default_rng(0).integers(20, 900, 1003).tolist()
    made = effective_batches(lengths, 8, 0, 0)

    assert sorted(row for batch in made for row in batch) == list(range(1003))
    assert sorted(map(len, made)) == [3, *[8] * 125]
    assert made == effective_batches(lengths, 8, 0, 0)
    assert made != effective_batches(lengths, 8, 0, 1) != effective_batches(lengths, 8, 1, 1)
    spread = [np.ptp([lengths[row] for row in batch]) for batch in made]
    assert np.mean(spread) < 90 < 0.2 * np.ptp(lengths), "lengths of a batch are alike"
    middles = [np.mean([lengths[row] for row in batch]) for batch in made]
    assert abs(np.corrcoef(middles, range(126))[0, 1]) < 0.25, "and batches are shuffled"


@pytest.mark.parametrize("name", ["linear", "cosine", "constant_with_warmup"])
def test_schedules_are_those_of_transformers(name: str) -> None:
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(name, optimizer, num_warmup_steps=3, num_training_steps=47)
    for step in range(47):
        own = rate(name.partition("_")[0], step, 47, 0.05)
        assert own == pytest.approx(scheduler.get_last_lr()[0]), step
        optimizer.step()
        scheduler.step()


def test_defaults_are_the_papers() -> None:
    """`protocols.md`, A.3: the released scripts' settings."""
    lora = composed("method=lora").method
    released = {
        "r": 16, "lora_alpha": 16, "lora_dropout": 0.0, "lr": 1e-4, "schedule": "linear",
        "warmup": 0.05, "epochs": 15, "hidden": [128],
    }  # fmt: skip
    assert {name: lora[name] for name in released} == released
    assert lora.batch == {"pair": 1, "residue": 8, "protein": 16, "variant": 16}
    for name, own in (("mlp", {"lr"}), ("finetune", set())):
        other = composed(f"method={name}").method
        assert {k for k in other if other[k] != lora[k]} - {"_target_"} == own


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("lora", "epochs=0", "method.epochs=0 is not a whole number of at least 1"),
        ("lora", "batch=4", "method.batch=4 must map each of protein, variant"),
        ("lora", "batch.pair=0", "method.batch.pair=0 is not a whole number of at least 1"),
        ("mlp", "hidden=[0]", r"method.hidden=\[0\] is not a list of widths, as in \[128\]"),
        ("mlp", "hidden=128", r"method.hidden=128 is not a list of widths, as in \[128\]"),
        ("mlp", "lr=0", "method.lr=0 is not allowed; give a number above 0"),
        ("mlp", "lr=fast", "method.lr=fast is not a number"),
        ("mlp", "betas=[0.9]", r"method.betas=\[0.9\] is not a list of two numbers"),
        ("finetune", "schedule=step", "step is not known; allowed are linear, cosine, constant"),
        ("lora", "class_weights=equal", "equal is not known; allowed are balanced, null"),
        ("lora", "clip=0", "method.clip=0 is not allowed; give a number above 0"),
        ("lora", "r=0", "method.r=0 is not a whole number of at least 1"),
        ("lora", "lora_dropout=1", "give a number of at least 0 and below 1"),
        ("lora", "target_modules=[q]", "names no layer of the model; it has dense, key, query"),
        ("lora", "class_weights=balanced", "needs classes; this task is a regression"),
        ("lora", "lr=1e30", "the loss is not finite; lower method.lr"),
    ],
)
def test_mistakes_are_one_sentence(esm: Transformer, name: str, word: str, message: str) -> None:
    train = examples("protein real", 24)
    with pytest.raises(UserError, match=message):
        method(name, word).fit(train, train, FitContext(esm, REAL, 0))


@pytest.mark.parametrize("name", TRAININGS)
def test_what_cannot_be_learned_is_refused(esm: Transformer, name: str) -> None:
    train = examples("protein real", 8)
    blank = [e._replace(label=np.asarray(np.nan)) for e in train]
    for part in ((blank, train), (train, []), ([], train)):
        with pytest.raises(UserError, match=r"no example of \w+ has a known answer"):
            method(name).fit(*part, FitContext(esm, REAL, 0))
    if name != "mlp":
        floor = instantiate(composed("model=kmer").model, _convert_="all")
        with pytest.raises(UserError, match="the backbone Kmer has none"):
            method(name).fit(train, train, FitContext(floor, REAL, 0))
    uneven = [*train, train[0]._replace(chains=("AW", "WA"))]
    with pytest.raises(UserError, match="the task's proteins have 1 to 2 chains"):
        method(name).fit(uneven, train, FitContext(esm, REAL, 0))

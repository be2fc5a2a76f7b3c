"""Toy answers that can be learned, for tests of methods that train."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from benchmark.core import Array, Example, Method, Predictor, Readout
from tests.conftest import composed, toy

REAL = Readout("protein", "regression")
TRAININGS = ("mlp", "lora", "finetune")


def method(name: str, *words: str) -> Method:
    settings = [f"method.{word}" for word in words]
    try:
        found = instantiate(composed(f"method={name}", *settings).method, _convert_="all")
    except InstantiationException as error:  # as the command line reports it
        raise error.__cause__ or error from None
    assert isinstance(found, Method)
    return found


def count_w(chain: str) -> Array:
    return np.asarray(float(chain.count("W")))


def more_w(chain: str) -> Array:
    return np.asarray(int(chain.count("W") > chain.count("A")))


def sort_of(chain: str) -> Array:
    return np.array([0 if c in "AVLIMC" else 1 if c in "FWYH" else 2 for c in chain])


def touching(chain: str) -> Array:
    """Residues of one kind touch, where they are 3 or more apart."""
    kinds = sort_of(chain)
    near = np.triu(np.ones((len(chain), len(chain)), bool), 3)
    return np.argwhere((kinds[:, None] == 1) & (kinds[None] == 1) & near)


LEVELS: dict[str, tuple[Readout, Callable[[str], Array]]] = {
    "protein real": (REAL, count_w),
    "protein class": (Readout("protein", "classification", 2), more_w),
    "protein classes": (
        Readout("protein", "classification", 3),
        lambda chain: np.asarray(min(2, chain.count("W"))),
    ),
    "protein labels": (
        Readout("protein", "multilabel", 2),
        lambda chain: np.array([chain.count("W") > 0, chain.count("A") > 1], int),
    ),
    "residue": (Readout("residue", "classification", 3), sort_of),
    "pair": (Readout("pair", "classification", 2, min_separation=3), touching),
    "variant": (Readout("variant", "regression"), count_w),
}


def examples(level: str, count: int, seed: int = 0) -> list[Example]:
    readout, label = LEVELS[level]
    made = toy(label, count, seed)
    if readout.level == "variant":
        made = [e._replace(chains=(*e.chains, "A" * len(e.chains[0]))) for e in made]
    return made


def answer(predictor: Predictor, asked: Sequence[Example]) -> list[Any]:
    return list(predictor.predict([example.chains for example in asked]))


class StopError(Exception):
    """The gradients have been seen."""

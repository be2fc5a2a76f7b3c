"""Rows that are not independent are one unit, and no more rows than those."""

import numpy as np
import pytest

from benchmark.core import UserError
from benchmark.data.resampling_units import joined, keys, linked
from tests.conftest import random_chain


def names(rows: list[tuple[str, ...]], **more: int | None) -> list[str]:
    return keys(rows, **{"chain": None, "substitutions": None, **more})


def test_one_chain_names_the_unit() -> None:
    rows = [("AC", "DE"), ("AC", "FG"), ("HI", "DE")]

    assert names(rows, chain=0) == ["AC", "AC", "HI"]
    assert names(rows, chain=-1) == ["DE", "FG", "DE"]
    with pytest.raises(UserError, match=r"unit.chain=2 does not exist; a row has 2 chains"):
        names(rows, chain=2)
    with pytest.raises(UserError, match=r"unit.substitutions=0 is not allowed; give a whole"):
        names(rows, substitutions=0)


def test_a_pair_belongs_to_the_protein_of_most_pairs() -> None:
    """Pairs of a hub move together, whichever side it is on; the rest does not follow them."""
    hub = [("HUB", "A"), ("C", "HUB"), ("HUB", "D")]
    chain_of_pairs = [("D", "E"), ("E", "F"), ("F", "G")]
    found = names(hub + chain_of_pairs)

    assert found[:3] == ["HUB"] * 3
    assert len(set(found)) > 2, "one component, but not one unit"
    assert names([("A", "C"), ("C", "A")]) == ["C", "C"], "a pair has no order"
    assert names([("A", "A"), ("A", "C"), ("C", "D"), ("C", "E")])[1] == "C", "rows, not chains"


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_substitutions_link_what_brute_force_links(steps: int) -> None:
    """Against every pair compared, and the components by repeated merging."""
    rng = np.random.default_rng(steps)
    chains = [random_chain(rng, 12) for _ in range(6)]
    for _ in range(60):
        parent = list(chains[rng.integers(len(chains))])
        for place in rng.integers(11, size=rng.integers(1, 4)):
            parent[place] = random_chain(rng, 1)
        chains.append("".join(parent)[: rng.integers(11, 13)])
    chains = list(dict.fromkeys(chains))
    part = list(range(len(chains)))
    for i, a in enumerate(chains):
        for j, b in enumerate(chains):
            if len(a) == len(b) and sum(x != y for x, y in zip(a, b, strict=True)) <= steps:
                old, new = max(part[i], part[j]), min(part[i], part[j])
                part = [new if p == old else p for p in part]

    assert linked(chains, steps) == dict(zip(chains, (chains[p] for p in part), strict=True))
    assert len(set(part)) not in (1, len(chains))


def test_groups_that_share_a_row_are_one() -> None:
    rows = [("A",), ("A",), ("C",), ("D",), ("E",)]

    assert joined(rows, ["x", "y", "y", "z", "w"]) == ["x", "x", "x", "z", "w"]

"""Batches cover every chain once, stay within the budget, and never change the order of results."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.core import Backbone, UserError
from benchmark.embedding.batching import batches, map_batches

lengths = st.lists(st.integers(1, 400), max_size=60)


@given(lengths, st.integers(1, 1000))
def test_batches_cover_once_within_budget(sizes: list[int], budget: int) -> None:
    made = batches(sizes, budget)

    assert sorted(i for batch in made for i in batch) == list(range(len(sizes)))
    for batch in made:
        assert len(batch) == 1 or len(batch) * max(sizes[i] for i in batch) <= budget


@given(lengths, st.integers(1, 300))
def test_results_keep_the_order_of_the_chains(sizes: list[int], budget: int) -> None:
    chains = ["A" * size for size in sizes]

    assert (
        list(map_batches(lambda batch: [len(c) for c in batch], chains, Limited(budget))) == sizes
    )


class Limited(Backbone):
    """Has room for so many residues at a time, padding counted."""

    digest = "limited"

    def __init__(self, batch_tokens: int, room: int = 10**9) -> None:
        self.batch_tokens = batch_tokens
        self.room = room

    def measure(self, batch: Sequence[str]) -> list[int]:
        if len(batch) * max(map(len, batch)) > self.room:
            raise MemoryError
        return [len(chain) for chain in batch]


@given(lengths, st.integers(400, 900))
def test_a_batch_that_does_not_fit_is_halved(sizes: list[int], room: int) -> None:
    """Every result comes, in order; the budget that was found stays within the room's reach."""
    backbone = Limited(8192, room)
    found = list(map_batches(backbone.measure, ["A" * size for size in sizes], backbone))

    assert found == sizes
    assert backbone.batch_tokens == 8192 or backbone.batch_tokens > room / 4


def test_one_chain_that_does_not_fit_is_told() -> None:
    backbone = Limited(8192, 300)
    with pytest.raises(UserError, match="one chain of 301 residues does not fit in memory"):
        list(map_batches(backbone.measure, ["A" * 20, "A" * 301], backbone))


def test_sorted_batches_waste_little() -> None:
    """Padding is at most 5 % of the tokens at the lengths of real proteins."""
    sizes = [50 + 37 * i % 900 for i in range(2000)]
    padded = sum(len(batch) * max(sizes[i] for i in batch) for batch in batches(sizes, 8192))

    assert sum(sizes) / padded > 0.95

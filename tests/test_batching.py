"""Batches cover every chain once, stay within the budget, and never change the order of results."""

from hypothesis import given
from hypothesis import strategies as st

from benchmark.batching import batches, map_batches

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

    assert list(map_batches(lambda batch: [len(c) for c in batch], chains, budget)) == sizes


def test_sorted_batches_waste_little() -> None:
    """Padding is at most 5 % of the tokens at the lengths of real proteins."""
    sizes = [50 + 37 * i % 900 for i in range(2000)]
    padded = sum(len(batch) * max(sizes[i] for i in batch) for batch in batches(sizes, 8192))

    assert sum(sizes) / padded > 0.95

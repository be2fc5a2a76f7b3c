"""`compare` on the committed results: what SciPy says of the same predictions."""

import numpy as np
import pytest
from scipy import stats

from benchmark.report.comparison import compare
from benchmark.report.selection import select
from benchmark.results.predictions import read_predictions
from tests.conftest import ROOT

RESULTS = ROOT / "results"


@pytest.mark.parametrize("other", ["onehot", "pocket_mlm_s"])
def test_real_predictions_agree_with_the_paired_t_test(other: str) -> None:
    """Precision of contacts is a plain mean over chains, and each chain is a unit."""
    sides = select(["esm2_t6_8M_encoder", other], RESULTS, "linear")
    (line,) = (one for one in compare(sides)[0] if one.column.task == "pocket_contact")
    found = []
    for side in sides:
        (cell,) = (cell for column, cell in side.cells.items() if column.task == "pocket_contact")
        table = read_predictions(RESULTS / cell.records[-1].path)
        assert len(set(table.columns["group"])) == len(table.columns["group"]) == 117
        found.append(table.values("p_at_l5")[0])
    expected = stats.ttest_rel(*found)
    low, high = expected.confidence_interval()

    assert line.difference.value == pytest.approx(float(np.mean(found[0] - found[1])), abs=1e-6)
    assert line.difference.interval == pytest.approx((low, high), abs=0.1 * (high - low))
    assert np.log(line.difference.p or 1) == pytest.approx(np.log(expected.pvalue), rel=0.1)


def test_swapping_committed_models_flips_the_sign() -> None:
    pair = ["pocket_clm_l", "pocket_clm_s"]
    ours, swapped = (
        compare(select(words, RESULTS, "zero_shot"))[0] for words in (pair, pair[::-1])
    )

    assert [one.difference.value for one in ours] == [-one.difference.value for one in swapped]
    assert ours[0].column.task == "pocket_perplexity" and ours[0].difference.value < 0

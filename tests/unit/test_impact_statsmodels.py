"""What an impact is told by, held against what statsmodels 0.15.0 computed of the same figures, written down here.

`mcnemar(..., exact=b + c < 25, correction=True)`, `multipletests(..., method="fdr_bh")` and
`proportion_confint(..., method="wilson")`: with pandas it is too large a package to be installed for these alone.
"""

import numpy as np
import pytest

from flumen.models.evaluation.comparison import compare_counts
from flumen.models.evaluation.intervals import wilson
from flumen.replay.impact.slices import adjust


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (3, 10, 0.09228515625),
        (0, 5, 0.0625),
        (12, 12, 1.0),
        (14, 11, 0.6891565167793516),
        (40, 21, 0.021185407615737752),
        (100, 160, 0.00025317696951544154),
    ],
)
def test_mcnemars_test(only_first: int, only_second: int, p_value: float) -> None:
    found = compare_counts(950 + only_first + only_second, only_first, only_second)
    assert found.p_value == pytest.approx(p_value, rel=1e-12)


def test_benjamini_and_hochbergs_correction() -> None:
    given = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216, 0.222, 0.251]
    given += [0.269, 0.275, 0.34]
    corrected = [0.015, 0.06, 0.126, 0.126, 0.126, 0.15, 0.15857142857142856]
    corrected += [0.29464285714285715] * 7 + [0.34]
    assert adjust(np.array(given)) == pytest.approx(corrected, rel=1e-12)


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [
        (0, 20, 0.0, 0.1611251580528194),
        (3, 20, 0.052368745896216595, 0.36041886474075696),
        (197, 200, 0.9568342712073097, 0.9948857622067417),
        (200, 200, 0.9811546736227335, 1.0),
    ],
)
def test_wilsons_interval(right: int, images: int, low: float, high: float) -> None:
    found = wilson(right, images)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)

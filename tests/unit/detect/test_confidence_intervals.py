"""How sure a level is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.detect.confidence_intervals import ratio_interval, share_interval

ONE = np.array([1.0])


def test_many_days_give_the_normal_interval() -> None:
    low, high = ratio_interval(ONE, ONE * 0.05, ONE * 1e6)
    assert (low[0], high[0]) == pytest.approx((0.902, 1.098), abs=1e-3)


def test_few_days_widen_it_as_students_t_does() -> None:
    low, high = ratio_interval(ONE, ONE * 0.05, ONE * 4)
    # t(0.975) with 4 degrees of freedom is 2.776.
    assert (high[0] - low[0]) / 2 == pytest.approx(2.776 * 0.05, rel=0.02)


def test_an_interval_is_never_negative() -> None:
    low, _ = ratio_interval(ONE * 0.01, ONE * 0.3, ONE * 5)
    assert low[0] == 0


def test_shares_have_wilsons_interval() -> None:
    # Wilson (1927): 8 of 10 gives 0.490 to 0.943.
    low, high = share_interval(ONE * 0.8, ONE * 10, ONE)
    assert (low[0], high[0]) == pytest.approx((0.490, 0.943), abs=1e-3)


def test_no_success_of_forty_may_still_be_a_few_percent() -> None:
    low, high = share_interval(ONE * 0, ONE * 40, ONE)
    assert low[0] == pytest.approx(0, abs=1e-12)
    assert high[0] == pytest.approx(0.072, abs=1e-3)


@given(st.floats(0, 1), st.integers(1, 1000), st.floats(0.06, 1))
def test_an_interval_holds_its_share(ratio: float, trials: int, ordinary: float) -> None:
    low, high = share_interval(ONE * ratio, ONE * trials, ONE * ordinary)
    assert 0 <= low[0] <= ratio + 1e-9
    assert high[0] >= ratio - 1e-9


@given(st.floats(0, 3), st.floats(0.02, 2), st.floats(1, 400))
def test_an_interval_holds_its_ratio(ratio: float, spread: float, degrees: float) -> None:
    low, high = ratio_interval(ONE * ratio, ONE * spread, ONE * degrees)
    assert 0 <= low[0] <= ratio <= high[0]

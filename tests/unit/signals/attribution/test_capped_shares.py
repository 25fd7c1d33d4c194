"""Shares of vantages, networks and owners are capped, and small holders do not pull others down."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.signals.attribution.capped_shares import (
    MAX_OWNER_SHARE,
    Holders,
    cap_factors,
    cap_weights,
    capped,
)


def shares(*held: float, spare: int = 0) -> list[float]:
    """Return the shares of holders of one series after capping at a fifth."""
    mass = np.array(held)
    one = np.zeros(len(held), np.intp)
    left = mass * cap_factors(mass, one, np.arange(len(held)), 0.2, spare=spare)
    return (left / left.sum()).round(4).tolist()


def test_the_largest_are_lowered_to_a_fifth() -> None:
    assert shares(100, 50, 1, 1, 1, 1, 1, 1) == [0.2, 0.2, *[0.1] * 6]
    assert shares(*[3] * 7) == pytest.approx([1 / 7] * 7, abs=1e-4)


def test_fewer_than_five_hold_the_same() -> None:
    assert shares(100, 1, 1, 1) == [0.25] * 4
    assert shares(100, 1) == [0.5] * 2
    assert shares(7) == [1.0]


def test_with_a_spare_one_two_are_not_made_equal() -> None:
    assert shares(3, 1, spare=1) == [0.75, 0.25]
    assert shares(9, 1, 1, spare=1) == [0.5, 0.25, 0.25]


def test_a_holder_of_next_to_nothing_does_not_lower_the_others() -> None:
    assert shares(1, 1, 1, 1, 0.001, 0.001)[:4] == pytest.approx([0.25] * 4, abs=1e-3)
    assert shares(1, 1, 1e-22)[:2] == [0.5, 0.5]


def test_nothing_is_capped_without_weight() -> None:
    assert cap_factors(np.zeros(3), np.zeros(3, int), np.arange(3), 0.2).tolist() == [1, 1, 1]
    assert cap_factors(np.zeros(0), np.zeros(0, int), np.zeros(0, int), 0.2).tolist() == []
    assert cap_weights(np.zeros(2), np.zeros(2, int)).tolist() == [0, 0]


@given(
    st.lists(st.floats(0.1, 1e6), min_size=1, max_size=40), st.integers(1, 12), st.integers(1, 4)
)
def test_no_owner_exceeds_its_share_in_any_series(
    held: list[float], owners: int, networks: int
) -> None:
    mass, rows = np.array(held), np.arange(len(held))
    series = rows % 3
    holders = Holders(rows % networks, rows % owners)
    left = capped(mass, series, rows, holders)
    assert (left <= mass * (1 + 1e-12)).all()
    for one in range(3):
        mine = series == one
        by_owner = np.bincount(holders.owners[mine], left[mine])
        count = np.count_nonzero(by_owner >= 0.05)
        most = max(MAX_OWNER_SHARE, 1 / max(count, 1))
        assert (by_owner <= most * by_owner.sum() * (1 + 1e-6)).all()


def test_owners_are_capped_in_the_weights_of_the_model() -> None:
    """A hundred vantages of one owner weigh as much as a fifth of all."""
    weights = cap_weights(np.ones(110), np.minimum(np.arange(110), 10))
    assert weights[10:].sum() / weights.sum() == pytest.approx(0.2)
    assert weights[:10].tolist() == [1] * 10

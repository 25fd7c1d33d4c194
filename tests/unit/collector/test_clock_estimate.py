"""Estimates of clock offsets from anchors and bounds."""

from hypothesis import given
from hypothesis import strategies as some

from netwatch.collector.clock_estimate import (
    MAX_ERROR_MS,
    UNBOUNDED,
    Anchor,
    Bounds,
    Estimate,
    filter_anchors,
)

NO_BOUNDS = Bounds(0)
HOUR = 3_600_000


def test_one_anchor_dates_a_whole_boot_with_growing_error() -> None:
    estimate = Estimate([Anchor(1000, 500, 40)], NO_BOUNDS)
    assert estimate.at(1000) == (500, 40)
    assert estimate.at(1000 + 24 * HOUR) == (500, 40 + 8640)
    assert estimate.at(1000 - 24 * HOUR) == (500, 40 + 8640)


def test_between_two_anchors_the_clock_drifts_evenly() -> None:
    """Three days cut off with a clock that loses 50 parts in a million."""
    lost = 72 * HOUR // 20_000
    estimate = Estimate([Anchor(0, 0, 40), Anchor(72 * HOUR, lost, 60)], NO_BOUNDS)
    assert estimate.at(36 * HOUR) == (lost // 2, 60)


def test_an_anchor_implied_by_a_better_one_is_dropped() -> None:
    rough, fine, late = Anchor(0, 900, 8000), Anchor(HOUR, 100, 20), Anchor(48 * HOUR, 130, 25)
    assert filter_anchors([late, rough, fine]) == [fine, late]


def test_an_anchor_that_contradicts_the_collector_is_dropped() -> None:
    lie, truth = Anchor(0, 6 * HOUR, 1), Anchor(HOUR, 0, 900, trusted=True)
    agreeing = Anchor(2 * HOUR, 300, 700)
    assert filter_anchors([lie, truth, agreeing]) == [truth, agreeing]


def test_a_boot_without_anchors_is_estimated_from_its_bounds() -> None:
    assert Bounds(50, 0, 100).estimate() == (50, 50)
    assert Bounds(90, 0, 100).estimate() == (90, 90)
    assert Bounds(-(2**40), 0, 100).estimate() == (50, 50)
    assert Bounds(2**40, 0, 100).estimate() == (50, 50)
    assert Bounds(70).estimate() == (70, UNBOUNDED)
    assert Bounds(170, None, 100).estimate() == (100, UNBOUNDED)
    assert Bounds(70, 90, None).estimate() == (90, UNBOUNDED)
    assert Bounds(0, 120, 100).estimate() == (100, 0)


@given(
    some.lists(
        some.tuples(some.integers(0, 10**10), some.integers(1, MAX_ERROR_MS), some.floats(-1, 1)),
        min_size=1,
        max_size=30,
        unique_by=lambda row: row[0],
    ),
    some.integers(0, 10**10),
    some.integers(-100, 100),
)
def test_estimates_from_correct_anchors_are_within_their_error(
    rows: list[tuple[int, int, float]], monotonic: int, drift: int
) -> None:
    """For any correct anchors of a clock that drifts by up to 100 ppm."""

    def true(at: int) -> float:
        return 10**12 + at * drift / 1e6

    anchors = [Anchor(at, round(true(at) + part * error), error) for at, error, part in rows]
    offset, error = Estimate(anchors, NO_BOUNDS).at(monotonic)
    assert abs(offset - true(monotonic)) <= error + 3


@given(some.lists(some.builds(Anchor, *[some.integers(0, 10**9)] * 3), max_size=30))
def test_filtering_twice_changes_nothing(anchors: list[Anchor]) -> None:
    kept = filter_anchors(anchors)
    assert filter_anchors(kept) == kept
    assert bool(kept) == bool(anchors)

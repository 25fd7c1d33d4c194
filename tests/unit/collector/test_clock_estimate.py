"""What is made of a vantage's clocks: pure arithmetic on anchors and bounds."""

from hypothesis import given
from hypothesis import strategies as some

from netwatch.collector.clock_estimate import (
    BOUNDLESS,
    UNSURE,
    Anchor,
    Bounds,
    Estimate,
    filter_anchors,
)

NOWHERE = Bounds(0)
HOUR = 3_600_000


def test_one_anchor_dates_a_whole_boot_with_growing_doubt() -> None:
    estimate = Estimate([Anchor(1000, 500, 40)], NOWHERE)
    assert estimate.at(1000) == (500, 40)
    assert estimate.at(1000 + 24 * HOUR) == (500, 40 + 8640)
    assert estimate.at(1000 - 24 * HOUR) == (500, 40 + 8640)


def test_between_two_anchors_a_clock_is_evenly_fast() -> None:
    """Three days cut off with a clock that loses 50 parts in a million."""
    lost = 72 * HOUR // 20_000
    estimate = Estimate([Anchor(0, 0, 40), Anchor(72 * HOUR, lost, 60)], NOWHERE)
    assert estimate.at(36 * HOUR) == (lost // 2, 60)


def test_what_another_anchor_tells_better_goes() -> None:
    rough, fine, late = Anchor(0, 900, 8000), Anchor(HOUR, 100, 20), Anchor(48 * HOUR, 130, 25)
    assert filter_anchors([late, rough, fine]) == [fine, late]


def test_nobody_is_believed_against_the_collector() -> None:
    lie, truth = Anchor(0, 6 * HOUR, 1), Anchor(HOUR, 0, 900, trusted=True)
    agreeing = Anchor(2 * HOUR, 300, 700)
    assert filter_anchors([lie, truth, agreeing]) == [truth, agreeing]


def test_a_boot_without_anchors_is_held_between_what_is_certain() -> None:
    assert Bounds(50, 0, 100).middle() == (50, 50)
    assert Bounds(90, 0, 100).middle() == (90, 90)
    assert Bounds(-(2**40), 0, 100).middle() == (50, 50)
    assert Bounds(2**40, 0, 100).middle() == (50, 50)
    assert Bounds(70).middle() == (70, BOUNDLESS)
    assert Bounds(170, None, 100).middle() == (100, BOUNDLESS)
    assert Bounds(70, 90, None).middle() == (90, BOUNDLESS)
    assert Bounds(0, 120, 100).middle() == (100, 0)


@given(
    some.lists(
        some.tuples(some.integers(0, 10**10), some.integers(1, UNSURE), some.floats(-1, 1)),
        min_size=1,
        max_size=30,
        unique_by=lambda row: row[0],
    ),
    some.integers(0, 10**10),
    some.integers(-100, 100),
)
def test_anchors_that_hold_give_a_truth_that_holds(
    rows: list[tuple[int, int, float]], steady: int, drift: int
) -> None:
    """Whatever is told of a clock that is off by up to 100 parts in a million, within its error."""

    def true(at: int) -> float:
        return 10**12 + at * drift / 1e6

    anchors = [Anchor(at, round(true(at) + part * error), error) for at, error, part in rows]
    offset, error = Estimate(anchors, NOWHERE).at(steady)
    assert abs(offset - true(steady)) <= error + 3


@given(some.lists(some.builds(Anchor, *[some.integers(0, 10**9)] * 3), max_size=30))
def test_a_sieve_leaves_nothing_that_it_would_take_out(anchors: list[Anchor]) -> None:
    kept = filter_anchors(anchors)
    assert filter_anchors(kept) == kept
    assert bool(kept) == bool(anchors)

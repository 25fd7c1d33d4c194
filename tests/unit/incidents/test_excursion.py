"""One entity's present excursion."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.incidents.excursion import BinRun, Excursion, is_low
from netwatch.incidents.opening import new_incident
from netwatch.model.entities import Entity
from netwatch.model.series import Level, SeriesKey

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = SeriesKey("probing", Entity.parse("asn:64496"))


def level(
    hour: int, value: float | None, *, probability: float | None = None, half: float = 0.02
) -> Level:
    """Return a level; unless said otherwise it is surely low where it is low."""
    if value is None:
        return Level(START + hour * HOUR, KEY, None)
    sure = 0.99 if value < 0.9 else 0.01
    return Level(
        START + hour * HOUR, KEY, value, max(0.0, value - half), value + half,
        probability=sure if probability is None else probability,
    )  # fmt: skip


def follow(*levels: Level) -> Excursion:
    excursion = Excursion(levels[0])
    for one in levels:
        excursion.observe(one)
    return excursion


@pytest.mark.parametrize(
    ("value", "half", "probability", "low"),
    [
        (0.5, 0.02, 0.99, True),
        (0.89, 0.02, 0.99, True),
        (0.91, 0.02, 0.99, False),
        (0.85, 0.2, 0.99, False),
        (0.5, 0.02, 0.7, False),
        (0.0, 0.0, 0.99, True),
        (None, 0.0, 0.99, False),
    ],
)
def test_low_means_ten_points_below_with_high_probability(
    value: float | None, half: float, probability: float, *, low: bool
) -> None:
    assert is_low(level(0, value, half=half, probability=probability)) is low


def test_the_onset_is_the_first_reduced_bin_even_if_it_was_not_sure() -> None:
    excursion = follow(level(0, 1.0), level(1, 0.8, probability=0.3), level(2, 0.3), level(3, 0.1))
    assert excursion.onset == START + HOUR
    assert excursion.reduced.outside_at == START
    assert excursion.low.since == START + 2 * HOUR
    assert excursion.lost.since == START + 2 * HOUR
    assert excursion.low.bins == 2
    assert excursion.low.length(START + 4 * HOUR) == 2 * HOUR
    assert excursion.trough == level(3, 0.1)
    incident = new_incident(KEY, excursion, START + 3 * HOUR, width=HOUR, confirmed=True)
    assert incident.provisional_at == START + 3 * HOUR


def test_no_data_changes_nothing() -> None:
    before = follow(level(0, 1.0), level(1, 0.2))
    after = follow(level(0, 1.0), level(1, 0.2), level(2, None), level(3, None))
    assert after == before


def test_one_ordinary_bin_ends_an_excursion() -> None:
    excursion = follow(level(0, 0.2), level(1, 0.2), level(2, 1.0))
    over = BinRun(outside_at=START + 2 * HOUR)
    assert (excursion.low, excursion.lost, excursion.reduced) == (over, over, over)
    assert excursion.trough is None
    assert excursion.low.length(START + 3 * HOUR) == timedelta(0)


def test_a_bin_that_is_unsure_but_reduced_does_not_end_it() -> None:
    excursion = follow(level(0, 0.2), level(1, 0.85, probability=0.7), level(2, 0.2))
    assert excursion.low.since == START
    assert excursion.onset == START


def test_a_zero_is_the_deepest_of_all() -> None:
    assert follow(level(0, 0.1), level(1, 0.0), level(2, 0.1)).trough == level(1, 0.0)


@given(st.lists(st.one_of(st.none(), st.floats(0, 2)), min_size=1, max_size=40))
def test_times_are_ordered_for_any_input(values: list[float | None]) -> None:
    excursion = follow(*(level(hour, value) for hour, value in enumerate(values)))
    if excursion.low.since is not None:
        assert excursion.onset <= excursion.low.since <= excursion.level.time
        assert excursion.low.bins >= 1
        assert excursion.trough is not None
    else:
        assert excursion.low.bins == 0
    for run in (excursion.reduced, excursion.low, excursion.lost, excursion.below):
        if run.since is not None and run.outside_at is not None:
            assert run.outside_at < run.since

"""One entity's present excursion."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.incidents.excursion import Excursion, is_low
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


def excursion(*levels: Level) -> Excursion:
    found = Excursion(levels[0])
    for one in levels:
        found.observe(one, HOUR)
    return found


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
    found = excursion(level(0, 1.0), level(1, 0.8, probability=0.3), level(2, 0.3), level(3, 0.1))
    assert found.onset == START + HOUR
    assert found.ordinary_at == START
    assert found.low_since == START + 2 * HOUR
    assert found.provisional_at == START + 3 * HOUR
    assert found.lost_since == START + 2 * HOUR
    assert found.low_bins == 2
    assert found.duration(HOUR) == 2 * HOUR
    assert found.lowest == level(3, 0.1)


def test_no_data_changes_nothing() -> None:
    before = excursion(level(0, 1.0), level(1, 0.2))
    after = excursion(level(0, 1.0), level(1, 0.2), level(2, None), level(3, None))
    assert after == before


def test_one_ordinary_bin_ends_an_excursion() -> None:
    found = excursion(level(0, 0.2), level(1, 0.2), level(2, 1.0))
    assert (found.low_since, found.low_bins, found.lost_since) == (None, 0, None)
    assert (found.provisional_at, found.lowest, found.reduced_since) == (None, None, None)
    assert found.duration(HOUR) == timedelta(0)


def test_a_bin_that_is_unsure_but_reduced_does_not_end_it() -> None:
    found = excursion(level(0, 0.2), level(1, 0.85, probability=0.7), level(2, 0.2))
    assert found.low_since == START
    assert found.onset == START


def test_a_zero_is_the_deepest_of_all() -> None:
    assert excursion(level(0, 0.1), level(1, 0.0), level(2, 0.1)).lowest == level(1, 0.0)


@given(st.lists(st.one_of(st.none(), st.floats(0, 2)), min_size=1, max_size=40))
def test_times_are_ordered_for_any_input(values: list[float | None]) -> None:
    found = excursion(*(level(hour, value) for hour, value in enumerate(values)))
    if found.low_since is not None:
        assert found.onset <= found.low_since <= found.level.time
        assert found.provisional_at is not None
        assert found.low_since < found.provisional_at
        assert found.low_bins >= 1
        assert found.lowest is not None
    else:
        assert found.low_bins == 0
    if found.ordinary_at is not None and found.reduced_since is not None:
        assert found.ordinary_at < found.reduced_since

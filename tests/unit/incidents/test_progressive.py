from datetime import UTC, datetime, timedelta

from netwatch.incidents.patterns import progressive_hours

# Iran, November 2019: when provinces fell below half of ordinary for good (UTC), and the weight of
# each, which is its number of counties. Read from the hourly figures of the Monash IP Observatory.
_TOGETHER = (*[1.0] * 12, *[2.0] * 8, 3.0, *[4.0] * 4, 6.0, 10.0)
_FALLS = (((16, 16), (7.0,)), ((16, 17), (2.0,)), ((16, 18), _TOGETHER), ((17, 4), (1.0,)))


def _at(day: int, hour: int) -> datetime:
    return datetime(2019, 11, day, hour, 30, tzinfo=UTC)


def _iran() -> list[tuple[datetime, float]]:
    return [(_at(*moment), weight) for moment, weights in _FALLS for weight in weights]


def test_iran_is_not_progressive_while_all_fell_within_two_hours() -> None:
    assert progressive_hours(_iran(), _at(16, 19)) is None


def test_iran_is_progressive_for_twelve_hours() -> None:
    assert progressive_hours(_iran(), _at(17, 5)) == 12


def test_iran_is_not_progressive_once_nothing_new_is_lost() -> None:
    assert progressive_hours(_iran(), _at(17, 12)) is None


def test_the_future_is_not_known() -> None:
    start = _at(16, 12)
    losses = [(start + timedelta(hours=hour), 1.0) for hour in range(12)]
    assert progressive_hours(losses, start + timedelta(hours=5)) == 5
    assert progressive_hours(losses, start + timedelta(hours=2)) is None


def test_needs_three_networks_and_three_hours_and_a_recent_loss() -> None:
    start = _at(16, 12)
    losses = [(start, 1.0), (start + timedelta(hours=3), 1.0)]
    end = start + timedelta(hours=4)
    assert progressive_hours(losses, end) is None, "two networks"
    losses.append((start + timedelta(hours=1), 1.0))
    assert progressive_hours(losses, end) == 4
    assert progressive_hours(losses, start + timedelta(hours=6)) == 6, "exactly 3 h ago"
    assert progressive_hours(losses, start + timedelta(hours=6, seconds=1)) is None
    losses[1] = (start + timedelta(hours=2, minutes=59), 1.0)
    assert progressive_hours(losses, end) is None, "less than 3 h apart"


def test_a_light_forerunner_does_not_start_the_count() -> None:
    start = _at(16, 12)
    losses = [(start, 0.5), *((start + timedelta(hours=hour), 10.0) for hour in (10, 12, 14))]
    assert progressive_hours(losses, start + timedelta(hours=15)) == 5


def test_networks_without_weight_do_not_count() -> None:
    start = _at(16, 12)
    losses = [(start + timedelta(hours=2 * hour), 0.0) for hour in range(3)]
    assert progressive_hours(losses, start + timedelta(hours=5)) is None
    assert progressive_hours([], start) is None

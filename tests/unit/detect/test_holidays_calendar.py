"""Holidays and weekends: people stay at home, networks stay up, and a cut is still a cut."""

from datetime import UTC, datetime, timedelta

import pytest
from series import HOUR, START, Bins, by_key, hours, key, noisy, run

from netwatch.detect.detector import BayesFilterDetector
from netwatch.detect.holidays_calendar import HolidayCalendar
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.series import Bin, Level

DAY = timedelta(days=1)
GOOD_FRIDAY = datetime(2026, 4, 3, tzinfo=UTC)


def country(code: str, zone: str = "UTC") -> Entity:
    return Entity.parse(f"country:{code}")


def atlas(code: str, zone: str = "UTC") -> EntityTree:
    place = country(code)
    networks = [EntityInfo(Entity.parse(f"asn:{64496 + n}"), f"AS{n}", place) for n in range(4)]
    return EntityTree([EntityInfo(place, code, timezone=zone), *networks])


@pytest.mark.parametrize(
    ("code", "zone", "time", "holiday", "rest"),
    [
        ("DE", "Europe/Berlin", "2026-04-03T10:00", True, True),
        ("DE", "Europe/Berlin", "2026-04-02T22:30", True, True),
        ("DE", "Europe/Berlin", "2026-04-03T22:30", False, True),
        ("DE", "Europe/Berlin", "2026-04-01T10:00", False, False),
        ("IR", "Asia/Tehran", "2026-03-06T10:00", False, True),
        ("IR", "Asia/Tehran", "2026-03-08T10:00", False, False),
        ("IR", "Asia/Tehran", "2026-03-22T10:00", True, True),
        ("MM", "Asia/Yangon", "2026-03-07T10:00", False, True),
        ("XT", "UTC", "2026-03-08T10:00", False, True),
        ("XT", "UTC", "2026-12-25T10:00", False, False),
    ],
)
def test_days_are_those_of_the_country(
    code: str, zone: str, time: str, *, holiday: bool, rest: bool
) -> None:
    when = datetime.fromisoformat(time).replace(tzinfo=UTC)
    today = HolidayCalendar(atlas(code, zone)).day_types(when, [country(code)])
    assert (bool(today.holiday[0]), bool(today.rest[0])) == (holiday, rest)


def test_the_rest_day_depends_on_the_country() -> None:
    days = HolidayCalendar(atlas("IR", "Asia/Tehran"))
    sunday = days.day_types(datetime(2026, 3, 22, 9, tzinfo=UTC), [country("IR")])
    assert sunday.shift.tolist() == [5 * 24, 6 * 24 - 24 * 6]


def people(time: datetime, rests: datetime | None) -> float:
    """A steady week, three fifths on weekends and on the day that rests."""
    away = time.weekday() >= 5 or (rests is not None and rests <= time < rests + DAY)
    return 0.6 if away else 1.0


def year(days: int, *, rests: datetime | None, cut: tuple[datetime, datetime] | None) -> Bins:
    noise, bins = noisy(6, spread=0.03), Bins()
    for time in hours(24 * days):
        lost = 50.0 if cut is not None and cut[0] <= time < cut[1] else 1000.0
        row = [
            Bin(time, key(f"asn:{64496 + n}", "traffic"), people(time, rests) * noise() * lost)
            for n in range(4)
        ]
        bins.append((time, row))
    return bins


def country_levels(code: str, bins: Bins, *, teach: int) -> list[Level]:
    detector = BayesFilterDetector(atlas(code), width=HOUR, min_history=timedelta(days=teach))
    return list(by_key(run(detector, bins), key(f"country:{code}", "traffic")))


def test_a_known_holiday_is_ordinary_and_an_unknown_one_is_a_loss() -> None:
    bins = year(34, rests=GOOD_FRIDAY, cut=None)
    stranger = country_levels("XT", bins, teach=29)
    assert max(level.probability for level in stranger) > 0.95
    known = country_levels("DE", bins, teach=29)
    assert max(level.probability for level in known) < 0.5
    friday = [level.value for level in known if level.time >= GOOD_FRIDAY][:24]
    assert friday == pytest.approx([1.0] * 24, abs=0.08)


def test_a_cut_on_a_holiday_is_detected_within_an_hour() -> None:
    cut = (GOOD_FRIDAY + 10 * HOUR, GOOD_FRIDAY + 16 * HOUR)
    levels = country_levels("DE", year(34, rests=GOOD_FRIDAY, cut=cut), teach=29)
    sure = [level.time for level in levels if level.probability > 0.95]
    assert cut[0] <= sure[0] <= cut[0] + HOUR


def test_a_holiday_does_not_change_the_baseline() -> None:
    """Easter Monday and Good Friday at a tenth leave the next Friday as it was."""
    bins = year(45, rests=GOOD_FRIDAY, cut=None)
    levels = country_levels("DE", bins, teach=29)
    next_friday = [
        level.value
        for level in levels
        if GOOD_FRIDAY + 7 * DAY <= level.time < GOOD_FRIDAY + 8 * DAY
    ]
    assert next_friday == pytest.approx([1.0] * 24, abs=0.1)


def first_weekend(left: float, *, days: int = 4) -> list[Level]:
    """Return the levels of a country that is known from a Thursday and a Friday alone."""
    noise, bins = noisy(8, spread=0.03), Bins()
    for number in range(24 * days):
        time = START + 3 * DAY + number * HOUR
        level = left if time.weekday() >= 5 else 1.0
        row = [
            Bin(time, key(f"asn:{64496 + n}", "traffic"), 1000 * level * noise()) for n in range(4)
        ]
        bins.append((time, row))
    return country_levels("XT", bins, teach=2)


def test_a_first_weekend_is_not_an_outage() -> None:
    assert max(level.probability for level in first_weekend(0.65)) < 0.5
    assert max(level.probability for level in first_weekend(0.4)) < 0.8


def test_the_weekend_after_it_is_ordinary() -> None:
    levels = first_weekend(0.65, days=11)
    assert max(level.probability for level in levels) < 0.5
    assert [level.value for level in levels[-24:]] == pytest.approx([1.0] * 24, abs=0.15)


def test_a_cut_on_a_first_weekend_is_an_outage() -> None:
    levels = first_weekend(0.03)
    sure = [level.time for level in levels if level.probability > 0.95]
    assert sure
    assert sure[0] <= START + 5 * DAY + 6 * HOUR

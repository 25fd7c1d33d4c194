from datetime import UTC, datetime, timedelta

import pytest

from netwatch.publish.language import Language
from netwatch.publish.time_format import Elapsed, elapsed, interval_is_wide, moment, moment_text

NOON = datetime(2019, 11, 16, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (timedelta(seconds=-5), Elapsed(0, None, None)),
        (timedelta(minutes=4, seconds=59), Elapsed(0, None, None)),
        (timedelta(minutes=44), Elapsed(40, None, None)),
        (timedelta(minutes=89), Elapsed(85, None, None)),
        (timedelta(minutes=90), Elapsed(None, 1, None)),
        (timedelta(hours=71, minutes=59), Elapsed(None, 71, None)),
        (timedelta(hours=72), Elapsed(None, 72, None)),
        (timedelta(hours=73), Elapsed(None, 73, 4)),
        (timedelta(hours=192), Elapsed(None, 192, 9)),
        (timedelta(hours=216), Elapsed(None, 216, 10)),
        (timedelta(hours=240), Elapsed(None, 240, 11)),
    ],
)
def test_durations_are_stated_in_steps(length: timedelta, expected: Elapsed) -> None:
    assert elapsed(length) == expected


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Asia/Tehran", "16 Nov 15:30 local (12:00 UTC)"),
        ("UTC", "16 Nov 12:00 UTC"),
        ("Europe/London", "16 Nov 12:00 UTC"),
        ("Pacific/Kiritimati", "17 Nov 02:00 local (16 Nov 12:00 UTC)"),
        ("Nowhere/Else", "16 Nov 12:00 UTC"),
        ("../../etc/passwd", "16 Nov 12:00 UTC"),
    ],
)
def test_local_time_comes_first_then_utc(zone: str, text: str) -> None:
    assert moment_text(NOON, zone) == text


def test_the_day_is_left_out_only_if_local_and_utc_day_are_clear() -> None:
    later = NOON + timedelta(hours=6)
    assert moment(NOON, "Asia/Tehran", since=later).local == "15:30"
    next_day = NOON + timedelta(hours=9)
    assert moment(NOON, "Asia/Tehran", since=next_day).local == "16 Nov 15:30"


def test_month_names_are_in_the_language() -> None:
    assert moment(NOON, "UTC", Language("fr")).utc == "16 nov. 12:00"


def test_an_onset_is_about_when_its_interval_is_wider_than_ten_minutes() -> None:
    assert not interval_is_wide(NOON, NOON + timedelta(minutes=10))
    assert interval_is_wide(NOON, NOON + timedelta(minutes=11))

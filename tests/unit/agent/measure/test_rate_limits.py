from datetime import UTC, datetime

import pytest

from netwatch.agent.measure.rate_limits import ProbeRateLimiter, QuietHours
from netwatch.model.measurement import Target

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)


def target(host: str, probe: str = "tcp") -> Target:
    return Target(f"{host}-{probe}", probe, host)


def test_one_address_is_asked_every_twenty_seconds_at_most() -> None:
    polite = ProbeRateLimiter()
    assert polite.delay(target("198.51.100.1"), 0.0, most=100) == 0.0
    assert polite.delay(target("198.51.100.1", "http"), 5.0, most=100) == 15.0
    assert polite.delay(target("198.51.100.1"), 6.0, most=100) == 34.0


def test_neighbours_are_asked_a_second_apart() -> None:
    polite = ProbeRateLimiter()
    delays = [polite.delay(target(f"198.51.100.{n}"), 0.0, most=100) for n in range(1, 5)]
    assert delays == [0.0, 1.0, 2.0, 3.0]
    assert polite.delay(target("203.0.113.1"), 0.0, most=100) == 0.0
    polite = ProbeRateLimiter()
    delays = [polite.delay(target(f"2001:db8:0:{n}::1"), 0.0, most=100) for n in range(1, 4)]
    assert delays == [0.0, 1.0, 2.0]


def test_five_a_second_in_all_after_a_burst_of_twenty() -> None:
    polite = ProbeRateLimiter()
    delays = [polite.delay(target(f"10.{n}.0.1"), 0.0, most=100) for n in range(25)]
    assert delays[:20] == [0.0] * 20
    assert delays[20:] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_too_long_a_wait_is_left_out_and_takes_no_place() -> None:
    polite = ProbeRateLimiter()
    polite.delay(target("198.51.100.1"), 0.0, most=100)
    assert polite.delay(target("198.51.100.1"), 1.0, most=10) is None
    assert polite.delay(target("198.51.100.1"), 20.0, most=10) == 0.0


def test_loopback_disturbs_nobody() -> None:
    polite = ProbeRateLimiter()
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert [polite.delay(target(host), 0.0, most=1) for _ in range(50)] == [0.0] * 50


def test_names_count_as_addresses() -> None:
    polite = ProbeRateLimiter()
    polite.delay(target("example.org"), 0.0, most=100)
    assert polite.delay(target("EXAMPLE.org"), 0.0, most=100) == 20.0


def test_a_second_look_need_not_wait_at_its_own_address_only() -> None:
    polite = ProbeRateLimiter()
    assert polite.delay(target("198.51.100.1"), 0.0, most=100) == 0.0
    assert polite.delay(target("198.51.100.1"), 2.0, most=100, again=True) == 0.0
    assert polite.delay(target("198.51.100.2"), 2.0, most=100, again=True) == 1.0
    assert polite.delay(target("198.51.100.1"), 3.0, most=100) == 19.0
    for number in range(30):
        polite.delay(target(f"10.{number}.0.1"), 3.0, most=100)
    assert polite.delay(target("203.0.113.1"), 3.0, most=0.1, again=True) is None


@pytest.mark.parametrize(
    ("text", "hour", "quiet"),
    [
        ("22:00-06:00", 23, True),
        ("22:00-06:00", 5, True),
        ("22:00-06:00", 6, False),
        ("22:00-06:00", 12, False),
        ("01:00-05:30", 3, True),
        ("01:00-05:30", 0, False),
    ],
)
def test_quiet_hours(text: str, hour: int, *, quiet: bool) -> None:
    assert QuietHours.parse(text).hold(NOON.replace(hour=hour)) is quiet


@pytest.mark.parametrize("text", ["22", "25:00-06:00", "x-y", "-"])
def test_hours_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        QuietHours.parse(text)

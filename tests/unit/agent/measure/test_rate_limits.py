import pytest

from netwatch.agent.measure.rate_limits import ProbeRateLimiter


def delay(
    limiter: ProbeRateLimiter,
    host: str,
    now: float = 0.0,
    *,
    most: float = 100,
    retest: bool = False,
) -> float | None:
    return limiter.reserve(host, now, max_delay=most, retest=retest)


def test_one_address_is_probed_every_twenty_seconds_at_most() -> None:
    limiter = ProbeRateLimiter()
    assert delay(limiter, "198.51.100.1") == 0.0
    assert delay(limiter, "198.51.100.1", 5.0) == 15.0
    assert delay(limiter, "198.51.100.1", 6.0) == 34.0


def test_addresses_of_one_prefix_are_probed_a_second_apart() -> None:
    limiter = ProbeRateLimiter()
    assert [delay(limiter, f"198.51.100.{n}") for n in range(1, 5)] == [0.0, 1.0, 2.0, 3.0]
    assert delay(limiter, "203.0.113.1") == 0.0
    limiter = ProbeRateLimiter()
    assert [delay(limiter, f"2001:db8:0:{n}::1") for n in range(1, 4)] == [0.0, 1.0, 2.0]


def test_five_a_second_in_all_after_a_burst_of_twenty() -> None:
    limiter = ProbeRateLimiter()
    delays = [delay(limiter, f"10.{n}.0.1") for n in range(25)]
    assert delays[:20] == [0.0] * 20
    assert delays[20:] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_wait_that_is_too_long_is_refused_and_reserves_nothing() -> None:
    limiter = ProbeRateLimiter()
    delay(limiter, "198.51.100.1")
    assert delay(limiter, "198.51.100.1", 1.0, most=10) is None
    assert delay(limiter, "198.51.100.1", 20.0, most=10) == 0.0


def test_names_count_as_addresses() -> None:
    limiter = ProbeRateLimiter()
    delay(limiter, "example.org")
    assert delay(limiter, "EXAMPLE.org") == 20.0


def test_a_retest_need_not_keep_the_spacing_of_its_own_address() -> None:
    limiter = ProbeRateLimiter()
    assert delay(limiter, "198.51.100.1") == 0.0
    assert delay(limiter, "198.51.100.1", 2.0, retest=True) == 0.0
    assert delay(limiter, "198.51.100.2", 2.0, retest=True) == 1.0
    assert delay(limiter, "198.51.100.1", 3.0) == 19.0
    for number in range(30):
        delay(limiter, f"10.{number}.0.1", 3.0)
    assert delay(limiter, "203.0.113.1", 3.0, most=0.1, retest=True) is None

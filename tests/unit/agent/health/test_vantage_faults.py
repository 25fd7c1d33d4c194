import time
from datetime import UTC, datetime

import pytest

from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.health.vantage_faults import OverloadDetector, VpnDetector
from netwatch.model.measurement import Measurement, Observation, Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)
SITE = Target("site", "tcp", "198.51.100.1")
SITE6 = Target("site6", "tcp", "2001:db8::2")


def result(failure: str | None, *, operation: str = "connect", seconds: float = 0.1) -> Measurement:
    step = Observation(operation, failure, seconds)
    return Measurement(
        "one", "tcp", NOW, failure, "", host_responded=True, seconds=0.1, observations=(step,)
    )


@pytest.mark.parametrize(
    "word",
    [
        "unknown_failure: emfile",
        "unknown_failure: enfile",
        "no_buffer_space",
        "address_not_available",
    ],
)
def test_who_runs_out_three_times_in_a_minute_is_overloaded(word: str) -> None:
    watch = OverloadDetector(LoopLagMonitor())
    for now in (0.0, 10.0):
        watch.hear(result(word), SITE, now)
        assert not watch.is_on(now)
    watch.hear(result(word), SITE, 20.0)
    assert watch.is_on(20.0)
    assert watch.is_on(59.0)
    assert not watch.is_on(61.0)


def test_what_targets_do_is_no_overload() -> None:
    watch = OverloadDetector(LoopLagMonitor())
    for now in range(100):
        watch.hear(result("generic_timeout_error"), SITE, float(now))
        watch.hear(result(None), SITE, float(now))
        watch.hear(result("unknown_failure: resolvers"), SITE, float(now))
    assert not watch.is_on(100.0)


def test_a_machine_without_ipv6_is_not_overloaded() -> None:
    """It says of every address there that it cannot be assigned, and always will."""
    watch = OverloadDetector(LoopLagMonitor())
    for now in range(10):
        watch.hear(result("address_not_available"), SITE6, float(now))
    assert not watch.is_on(10.0)


def test_three_lacks_in_an_hour_are_no_overload() -> None:
    watch = OverloadDetector(LoopLagMonitor())
    for now in (0.0, 1200.0, 2400.0):
        watch.hear(result("no_buffer_space"), SITE, now)
    assert not watch.is_on(2400.0)


@pytest.mark.parametrize(("length", "on"), [(1.0, False), (4.0, True)])
def test_a_loop_that_stands_still_for_a_fifth_of_the_time(length: float, *, on: bool) -> None:
    stalls = LoopLagMonitor()
    now = time.perf_counter()
    stalls._stalls.append((now - 5.0, now - 5.0 + length))
    assert stalls.held_up(15.0) == pytest.approx(length, abs=0.1)
    assert OverloadDetector(stalls).is_on(0.0) is on
    stalls._stalls[0] = (now - 500.0, now - 400.0)
    assert stalls.held_up(15.0) == 0.0


PAIR = [
    Target(f"far-{probe}", probe, "192.0.2.3", group="witness-international")
    for probe in ("icmp", "tcp")
]


def pair(watch: VpnDetector, echo: float, connect: float, at: float = 0.0) -> bool:
    watch.hear(result(None, operation="icmp", seconds=echo), PAIR[0], at)
    watch.hear(result(None, operation="connect", seconds=connect), PAIR[1], at + 1.0)
    return watch.is_on


def test_a_far_host_that_is_near_by_tcp_alone_is_somebody_else() -> None:
    watch = VpnDetector()
    assert not pair(watch, 0.120, 0.118)
    assert pair(watch, 0.180, 0.004), "100 ms once"
    assert not pair(watch, 0.120, 0.118), "and gone when it is gone"


def test_sixty_milliseconds_count_when_they_come_twice() -> None:
    watch = VpnDetector()
    assert not pair(watch, 0.090, 0.005)
    assert pair(watch, 0.090, 0.005)
    assert not pair(watch, 0.030, 0.005)
    assert not pair(watch, 0.090, 0.005)


def test_old_answers_and_other_targets_are_not_compared() -> None:
    watch = VpnDetector()
    watch.hear(result(None, operation="icmp", seconds=0.5), PAIR[0], 0.0)
    watch.hear(result(None, operation="connect", seconds=0.001), PAIR[1], 500.0)
    assert not watch.is_on
    for target in (
        Target("near-icmp", "icmp", "10.0.0.1", group="witness-lan"),
        Target("near-tcp", "tcp", "10.0.0.1", group="witness-lan"),
    ):
        operation = "icmp" if target.probe == "icmp" else "connect"
        seconds = 0.5 if target.probe == "icmp" else 0.001
        watch.hear(result(None, operation=operation, seconds=seconds), target, 1.0)
    assert not watch.is_on


def test_a_failure_says_nothing_about_a_tunnel() -> None:
    watch = VpnDetector()
    watch.hear(result("generic_timeout_error", operation="icmp", seconds=2.0), PAIR[0], 0.0)
    watch.hear(result(None, operation="connect", seconds=0.01), PAIR[1], 0.0)
    assert not watch.is_on

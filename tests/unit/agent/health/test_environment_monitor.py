import time
from datetime import UTC, datetime

import pytest

from netwatch.agent.health.environment_monitor import OverloadDetector, VpnDetector
from netwatch.agent.health.loop_lag import LoopLagMonitor
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
def test_three_exhausted_resources_in_a_minute_mean_overload(word: str) -> None:
    detector = OverloadDetector(LoopLagMonitor())
    for now in (0.0, 10.0):
        detector.add_measurement(result(word), SITE, now)
        assert not detector.is_overloaded(now)
    detector.add_measurement(result(word), SITE, 20.0)
    assert detector.is_overloaded(20.0)
    assert detector.is_overloaded(59.0)
    assert not detector.is_overloaded(61.0)


def test_failures_of_targets_are_not_overload() -> None:
    detector = OverloadDetector(LoopLagMonitor())
    for now in range(100):
        detector.add_measurement(result("generic_timeout_error"), SITE, float(now))
        detector.add_measurement(result(None), SITE, float(now))
        detector.add_measurement(result("unknown_failure: resolvers"), SITE, float(now))
    assert not detector.is_overloaded(100.0)


def test_a_machine_without_ipv6_is_not_overloaded() -> None:
    """Its kernel reports that no IPv6 address can be assigned."""
    detector = OverloadDetector(LoopLagMonitor())
    for now in range(10):
        detector.add_measurement(result("address_not_available"), SITE6, float(now))
    assert not detector.is_overloaded(10.0)


def test_three_exhausted_resources_in_an_hour_are_not_overload() -> None:
    detector = OverloadDetector(LoopLagMonitor())
    for now in (0.0, 1200.0, 2400.0):
        detector.add_measurement(result("no_buffer_space"), SITE, now)
    assert not detector.is_overloaded(2400.0)


@pytest.mark.parametrize(("length", "on"), [(1.0, False), (4.0, True)])
def test_a_loop_that_is_blocked_for_a_fifth_of_the_time(length: float, *, on: bool) -> None:
    loop_lag = LoopLagMonitor()
    now = time.perf_counter()
    loop_lag._blocked.append((now - 5.0, now - 5.0 + length))
    assert loop_lag.blocked_seconds(15.0) == pytest.approx(length, abs=0.1)
    assert OverloadDetector(loop_lag).is_overloaded(0.0) is on
    loop_lag._blocked[0] = (now - 500.0, now - 400.0)
    assert loop_lag.blocked_seconds(15.0) == 0.0


PAIR = [
    Target(f"far-{probe}", probe, "192.0.2.3", group="witness-international")
    for probe in ("icmp", "tcp")
]


def pair(detector: VpnDetector, echo: float, connect: float, at: float = 0.0) -> bool:
    detector.add_measurement(result(None, operation="echo", seconds=echo), PAIR[0], at)
    detector.add_measurement(result(None, operation="connect", seconds=connect), PAIR[1], at + 1.0)
    return detector.is_detected


def test_a_far_host_that_is_near_by_tcp_only_shows_a_vpn() -> None:
    detector = VpnDetector()
    assert not pair(detector, 0.120, 0.118)
    assert pair(detector, 0.180, 0.004), "100 ms once"
    assert not pair(detector, 0.120, 0.118), "it ends with the difference"


def test_sixty_milliseconds_count_twice_in_a_row() -> None:
    detector = VpnDetector()
    assert not pair(detector, 0.090, 0.005)
    assert pair(detector, 0.090, 0.005)
    assert not pair(detector, 0.030, 0.005)
    assert not pair(detector, 0.090, 0.005)


def test_old_results_and_other_targets_are_not_compared() -> None:
    detector = VpnDetector()
    detector.add_measurement(result(None, operation="echo", seconds=0.5), PAIR[0], 0.0)
    detector.add_measurement(result(None, operation="connect", seconds=0.001), PAIR[1], 500.0)
    assert not detector.is_detected
    for target in (
        Target("near-icmp", "icmp", "10.0.0.1", group="witness-lan"),
        Target("near-tcp", "tcp", "10.0.0.1", group="witness-lan"),
    ):
        operation = "echo" if target.probe == "icmp" else "connect"
        seconds = 0.5 if target.probe == "icmp" else 0.001
        detector.add_measurement(result(None, operation=operation, seconds=seconds), target, 1.0)
    assert not detector.is_detected


def test_a_failure_shows_no_vpn() -> None:
    detector = VpnDetector()
    detector.add_measurement(
        result("generic_timeout_error", operation="echo", seconds=2.0), PAIR[0], 0.0
    )
    detector.add_measurement(result(None, operation="connect", seconds=0.01), PAIR[1], 0.0)
    assert not detector.is_detected

"""If no witness responds but a target does, the witnesses are down and not the line."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.judge_health import Flag, HealthState
from netwatch.model.measurement import Measurement, Observation, Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)
GATEWAY = Target("gateway", "tcp", "192.168.0.1", group="witness-lan")
HOME = Target("home", "tcp", "10.2.0.1", group="witness-domestic")
ABROAD = Target("abroad", "tcp", "10.9.0.1", group="witness-international")
SITE = Target("site", "tcp", "10.9.0.2")
PORTAL_CHECK = Target("portal", "http", "portal.example", group="witness-captive")


def result(target: Target, failure: str | None, seconds: float) -> Measurement:
    scope = "" if failure is None else "timeout"
    time = NOW + timedelta(seconds=seconds)
    return Measurement(target.id, target.probe, time, failure, scope, failure is None, 0.1)


def cut_monitor() -> HealthMonitor:
    monitor = HealthMonitor()
    monitor.update(result(GATEWAY, None, 0), GATEWAY)
    for witness in (HOME, ABROAD):
        monitor.update(result(witness, "generic_timeout_error", 1), witness)
    assert monitor.state() is HealthState.ISP_CUT
    return monitor


def test_a_later_response_of_a_target_contradicts_the_cut() -> None:
    monitor = cut_monitor()
    monitor.update(result(SITE, None, 2), SITE)
    assert monitor.state() is HealthState.DEGRADED
    monitor.update(result(HOME, "generic_timeout_error", 3), HOME)
    assert monitor.state() is HealthState.DEGRADED


def test_a_response_before_the_cut_proves_nothing() -> None:
    monitor = cut_monitor()
    monitor.update(result(SITE, None, 0.5), SITE)
    assert monitor.state() is HealthState.ISP_CUT


def test_a_target_that_fails_too_confirms_the_cut() -> None:
    monitor = cut_monitor()
    monitor.update(result(SITE, None, 2), SITE)
    monitor.update(result(SITE, "generic_timeout_error", 4), SITE)
    assert monitor.state() is HealthState.ISP_CUT


def test_a_contradiction_ends_with_its_cut() -> None:
    monitor = cut_monitor()
    monitor.update(result(SITE, None, 2), SITE)
    monitor.update(result(ABROAD, None, 5), ABROAD)
    monitor.update(result(HOME, None, 5), HOME)
    assert monitor.state() is HealthState.OK
    for witness in (HOME, ABROAD):
        monitor.update(result(witness, "generic_timeout_error", 6), witness)
    assert monitor.state() is HealthState.ISP_CUT


def test_a_portal_check_with_a_private_address_shows_a_portal() -> None:
    monitor = HealthMonitor()
    monitor.update(result(PORTAL_CHECK, "dns_bogon_error", 0), PORTAL_CHECK)
    assert Flag.CAPTIVE in monitor.flags


def test_a_dns_answer_from_a_host_without_a_server_shows_a_proxy() -> None:
    silent = Target("silent", "dns", "10.9.0.9", group="witness-silent")
    names = Target("names", "dns", "10.1.0.53", path="a.invalid", group="witness-names")
    monitor = HealthMonitor()
    answered = replace(
        result(silent, "dns_no_answer", 0), observations=(Observation("dns_round_trip", None, 0.1),)
    )
    monitor.update(answered, silent)
    assert Flag.DNS_HIJACKED in monitor.flags
    monitor.update(result(names, None, 1), names)
    assert Flag.DNS_HIJACKED in monitor.flags, "another witness does not outweigh it"
    monitor.update(result(silent, "generic_timeout_error", 2), silent)
    assert Flag.DNS_HIJACKED not in monitor.flags

"""When every witness is silent: a target that answers says that it is the witnesses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from netwatch.agent.health.health import Flag, HealthState
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.model.measurement import Measurement, Observation, Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)
GATEWAY = Target("gateway", "tcp", "192.168.0.1", group="witness-lan")
HOME = Target("home", "tcp", "10.2.0.1", group="witness-domestic")
ABROAD = Target("abroad", "tcp", "10.9.0.1", group="witness-international")
SITE = Target("site", "tcp", "10.9.0.2")
CANARY = Target("canary", "http", "canary.example", group="witness-captive")


def said(target: Target, failure: str | None, seconds: float) -> Measurement:
    scope = "" if failure is None else "timeout"
    time = NOW + timedelta(seconds=seconds)
    return Measurement(target.id, target.probe, time, failure, scope, failure is None, 0.1)


def cut_ladder() -> HealthMonitor:
    ladder = HealthMonitor([GATEWAY, HOME, ABROAD, SITE], note=lambda _: None)
    ladder.take(said(GATEWAY, None, 0), GATEWAY)
    for witness in (HOME, ABROAD):
        ladder.take(said(witness, "generic_timeout_error", 1), witness)
    assert ladder.state() is HealthState.ISP_CUT
    return ladder


def test_a_target_that_answers_later_puts_the_cut_in_doubt() -> None:
    ladder = cut_ladder()
    ladder.take(said(SITE, None, 2), SITE)
    assert ladder.state() is HealthState.DEGRADED
    ladder.take(said(HOME, "generic_timeout_error", 3), HOME)
    assert ladder.state() is HealthState.DEGRADED


def test_what_answered_before_the_cut_proves_nothing() -> None:
    ladder = cut_ladder()
    ladder.take(said(SITE, None, 0.5), SITE)
    assert ladder.state() is HealthState.ISP_CUT


def test_a_target_that_is_lost_too_ends_the_doubt() -> None:
    ladder = cut_ladder()
    ladder.take(said(SITE, None, 2), SITE)
    ladder.take(said(SITE, "generic_timeout_error", 4), SITE)
    assert ladder.state() is HealthState.ISP_CUT


def test_a_doubt_is_not_carried_over_to_the_next_cut() -> None:
    ladder = cut_ladder()
    ladder.take(said(SITE, None, 2), SITE)
    ladder.take(said(ABROAD, None, 5), ABROAD)
    ladder.take(said(HOME, None, 5), HOME)
    assert ladder.state() is HealthState.OK
    for witness in (HOME, ABROAD):
        ladder.take(said(witness, "generic_timeout_error", 6), witness)
    assert ladder.state() is HealthState.ISP_CUT


def test_a_canary_with_a_private_address_is_a_portals() -> None:
    ladder = HealthMonitor([CANARY], note=lambda _: None)
    ladder.take(said(CANARY, "dns_bogon_error", 0), CANARY)
    assert Flag.CAPTIVE in ladder.flags


def test_a_host_that_runs_no_name_server_and_answers_gives_a_proxy_away() -> None:
    silent = Target("silent", "dns", "10.9.0.9", group="witness-silent")
    names = Target("names", "dns", "10.1.0.53", path="a.invalid", group="witness-names")
    ladder = HealthMonitor([silent, names], note=lambda _: None)
    answered = replace(
        said(silent, "dns_no_answer", 0), observations=(Observation("dns_round_trip", None, 0.1),)
    )
    ladder.take(answered, silent)
    assert Flag.DNS_HIJACKED in ladder.flags
    ladder.take(said(names, None, 1), names)
    assert Flag.DNS_HIJACKED in ladder.flags, "another witness does not outweigh it"
    ladder.take(said(silent, "generic_timeout_error", 2), silent)
    assert Flag.DNS_HIJACKED not in ladder.flags

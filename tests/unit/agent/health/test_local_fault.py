"""Which outcomes are the vantage's own fault."""

from datetime import UTC, datetime

import pytest

from netwatch.agent.health import local_fault
from netwatch.agent.health.judge_health import Flag, HealthState
from netwatch.agent.health.local_fault import label_machine_fault, label_network_fault
from netwatch.model.failure import lookup_failure
from netwatch.model.measurement import Measurement, Target

SITE = Target("site", "tcp", "198.51.100.1")
PORTAL_CHECK = Target("portal", "http", "192.0.2.4", group="witness-captive")
TIMEOUT = "generic_timeout_error"


def outcome(word: str | None) -> Measurement:
    failure = None if word is None else lookup_failure(word)
    return Measurement(
        "site",
        "tcp",
        datetime(2026, 1, 8, tzinfo=UTC),
        word,
        "" if failure is None else failure.scope.value,
        failure is None or failure.host_responded,
        0.1,
    )


@pytest.mark.parametrize(
    ("word", "state", "flags", "scope"),
    [
        (None, HealthState.LAN_DOWN, (), ""),
        (TIMEOUT, HealthState.OK, (), "timeout"),
        (TIMEOUT, HealthState.ISP_CUT, (), "timeout"),
        (TIMEOUT, HealthState.LAN_DOWN, (), "local"),
        (TIMEOUT, HealthState.ASLEEP, (), "local"),
        ("connection_refused", HealthState.LAN_DOWN, (), "refused"),
        ("no_buffer_space", HealthState.OK, (), "local"),
        ("ssl_invalid_certificate", HealthState.OK, (), "tls"),
        ("ssl_invalid_certificate", HealthState.OK, (Flag.CLOCK_BAD,), "local"),
        ("ssl_invalid_hostname", HealthState.OK, (Flag.CLOCK_BAD,), "tls"),
        ("network_unreachable", HealthState.OK, (), "local"),
        (None, HealthState.OK, (Flag.CAPTIVE,), "local"),
        ("connection_refused", HealthState.OK, (Flag.CAPTIVE,), "local"),
    ],
)
def test_the_state_the_flags_and_the_word_decide(
    word: str | None, state: HealthState, flags: tuple[Flag, ...], scope: str
) -> None:
    assert label_network_fault(outcome(word), SITE, state=state, flags=flags).scope == scope


def test_over_a_dead_line_a_failure_is_local_unless_the_host_responded() -> None:
    assert label_network_fault(outcome(TIMEOUT), SITE, line_is_dead=True).scope == "local"
    refused = outcome("connection_refused")
    assert label_network_fault(refused, SITE, line_is_dead=True) == refused


def test_a_portal_check_counts_behind_a_portal() -> None:
    for word in ("http_unexpected_status_code", "network_unreachable"):
        checked = outcome(word)
        assert label_network_fault(checked, PORTAL_CHECK, flags=(Flag.CAPTIVE,)) == checked


@pytest.mark.parametrize(("has_route", "scope"), [(True, "unreachable"), (False, "local")])
def test_an_unreachable_network_is_local_without_a_route(
    monkeypatch: pytest.MonkeyPatch, scope: str, *, has_route: bool
) -> None:
    monkeypatch.setattr(local_fault, "has_route", lambda _: has_route)
    assert label_machine_fault(outcome("network_unreachable"), SITE).scope == scope


@pytest.mark.parametrize("word", ["connection_refused", "network_unreachable"])
def test_a_failure_while_the_event_loop_was_blocked_proves_no_response(word: str) -> None:
    failed = label_machine_fault(outcome(word), SITE, loop_blocked=True)
    assert (failed.scope, failed.host_responded) == ("local", False)
    assert label_network_fault(failed, SITE, state=HealthState.OK) == failed
    assert label_machine_fault(outcome(None), SITE, loop_blocked=True) == outcome(None)

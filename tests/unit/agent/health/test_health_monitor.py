from datetime import UTC, datetime

import pytest

from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.judge_health import Flag, HealthState
from netwatch.model.measurement import Measurement, Observation, Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)
WITNESSES = {
    "gateway": Target("gateway", "tcp", "192.0.2.1", group="witness-lan"),
    "home": Target("home", "tcp", "192.0.2.2", group="witness-domestic"),
    "abroad": Target("abroad", "tcp", "192.0.2.3", group="witness-international"),
    "portal": Target("portal", "http", "192.0.2.4", group="witness-captive"),
    "names": Target("names", "dns", "192.0.2.5", path="x.invalid", group="witness-names"),
    "abroad6": Target("abroad6", "tcp", "2001:db8::1", group="witness-international"),
}
SITE = Target("site", "tcp", "198.51.100.1")
SITE6 = Target("site6", "tcp", "2001:db8::2")


def result(
    target: Target,
    failure: str | None = None,
    *,
    detail: str = "",
    host_responded: bool | None = None,
) -> Measurement:
    host_responded = failure is None if host_responded is None else host_responded
    step = Observation("connect", failure, 0.1, detail)
    scope = "timeout" if failure else ""
    return Measurement(target.id, target.probe, NOW, failure, scope, host_responded, 0.1, (step,))


class Vantage:
    def __init__(self) -> None:
        self.events: list[Measurement] = []
        self.health = HealthMonitor(self.events.append)

    def set(self, **responds: bool) -> None:
        for name, up in responds.items():
            failure = None if up else "generic_timeout_error"
            self.health.update(result(WITNESSES[name], failure), WITNESSES[name])


def test_a_change_of_state_is_one_event() -> None:
    vantage = Vantage()
    for _ in range(3):
        vantage.set(gateway=True, home=True, abroad=True)
    for _ in range(3):
        vantage.set(abroad=False)
    assert vantage.health.state(4) is HealthState.INTL_CUT
    assert vantage.health.state(6) is HealthState.UNKNOWN
    words = [event.failure for event in vantage.events]
    assert words[-2:] == [None, "intl_cut"]
    assert {event.target for event in vantage.events} == {"@health-v4"}
    assert all(event.scope == "local" for event in vantage.events if event.failure)


@pytest.mark.parametrize(
    ("gateway", "scope"), [(True, "timeout"), (False, "local")], ids=["provider", "cable"]
)
def test_only_a_local_fault_makes_a_failure_local(*, gateway: bool, scope: str) -> None:
    vantage = Vantage()
    vantage.set(gateway=gateway, home=False, abroad=False)
    failed = vantage.health.update(result(SITE, "generic_timeout_error"), SITE)
    assert failed.scope == scope
    assert failed.failure == "generic_timeout_error"


def test_a_success_is_never_relabelled_by_the_state() -> None:
    vantage = Vantage()
    vantage.set(gateway=False)
    assert vantage.health.update(result(SITE), SITE) == result(SITE)
    refused = result(SITE, "connection_refused", host_responded=True)
    assert vantage.health.update(refused, SITE) == refused


def test_ipv6_that_never_worked_is_a_local_fault() -> None:
    vantage = Vantage()
    vantage.set(gateway=True, abroad=True, abroad6=False)
    failure = "generic_timeout_error"
    assert vantage.health.update(result(SITE6, failure), SITE6).scope == "local"
    assert vantage.health.update(result(SITE, failure), SITE).scope == "timeout"
    vantage.set(abroad6=True)
    assert vantage.health.update(result(SITE6, failure), SITE6).scope == "timeout"


def test_ipv6_that_worked_before_is_an_observation() -> None:
    """If only IPv6 is cut, its failures are the evidence."""
    vantage = Vantage()
    vantage.set(gateway=True, abroad=True, abroad6=True)
    vantage.set(abroad6=False)
    failure = "generic_timeout_error"
    assert vantage.health.update(result(SITE6, failure), SITE6).scope == "timeout"
    vantage.health.reset(NOW)
    vantage.set(abroad6=False)
    assert vantage.health.update(result(SITE6, failure), SITE6).scope == "local", "another network?"


def test_the_gateway_alone_proves_no_ipv6() -> None:
    vantage = Vantage()
    vantage.health.set_gateway(6, responds=True, time=NOW)
    vantage.set(abroad6=False)
    assert vantage.health.update(result(SITE6, "generic_timeout_error"), SITE6).scope == "local"


@pytest.mark.parametrize(
    "word", ["http_unexpected_redirect_url", "http_unexpected_status_code", "http_request_failed"]
)
def test_a_captive_portal_raises_and_lowers_its_flag(word: str) -> None:
    vantage = Vantage()
    portal = WITNESSES["portal"]
    vantage.set(abroad=True)
    vantage.health.update(result(portal, word, host_responded=True), portal)
    assert vantage.health.state() is HealthState.CAPTIVE
    vantage.health.update(result(portal), portal)
    assert vantage.health.state() is HealthState.OK
    flags = [(event.target, event.failure) for event in vantage.events if "flag" in event.target]
    assert flags == [("@flag-captive", "captive"), ("@flag-captive", None)]


def test_behind_a_portal_only_the_portal_check_counts() -> None:
    """The portal accepts every connection: neither a success nor a failure is the target's."""
    vantage = Vantage()
    portal, abroad = WITNESSES["portal"], WITNESSES["abroad"]
    checked = vantage.health.update(
        result(portal, "http_unexpected_status_code", host_responded=True), portal
    )
    assert checked.scope != "local"
    assert vantage.health.update(result(SITE), SITE).scope == "local"
    assert vantage.health.update(result(abroad), abroad).scope == "local"
    failed = vantage.health.update(result(SITE, "ssl_unknown_authority", host_responded=True), SITE)
    assert (failed.scope, failed.failure) == ("local", "ssl_unknown_authority")


def test_one_correct_portal_check_outweighs_a_broken_one() -> None:
    other = Target("portal2", "http", "192.0.2.44", group="witness-captive")
    monitor = HealthMonitor()
    monitor.update(result(other), other)
    monitor.update(
        result(WITNESSES["portal"], "http_unexpected_status_code", host_responded=True),
        WITNESSES["portal"],
    )
    assert Flag.CAPTIVE not in monitor.flags


def test_a_portal_check_without_an_answer_shows_no_portal() -> None:
    """A shutdown that begins behind a portal must not look like the portal for ever."""
    vantage = Vantage()
    portal = WITNESSES["portal"]
    vantage.health.update(
        result(portal, "http_unexpected_status_code", host_responded=True), portal
    )
    vantage.health.update(result(portal, "generic_timeout_error"), portal)
    vantage.set(gateway=True, home=True, abroad=False)
    assert vantage.health.state() is HealthState.INTL_CUT


def test_a_bad_certificate_date_is_local_while_the_clock_is_wrong() -> None:
    vantage = Vantage()
    vantage.set(abroad=True)
    dated = result(SITE, "ssl_invalid_certificate", host_responded=True)
    assert vantage.health.update(dated, SITE).scope != "local"
    vantage.health.set_flag(Flag.CLOCK_BAD, raised=True, time=NOW)
    assert vantage.health.update(dated, SITE).scope == "local"
    named = result(SITE, "ssl_invalid_hostname", host_responded=True)
    assert vantage.health.update(named, SITE).scope != "local"
    vantage.health.set_flag(Flag.CLOCK_BAD, raised=False, time=NOW)
    assert vantage.health.update(dated, SITE).scope != "local"


def test_the_default_gateway_is_a_witness() -> None:
    vantage = Vantage()
    vantage.set(abroad=False)
    assert vantage.health.state() is HealthState.UNKNOWN
    vantage.health.set_gateway(4, responds=True, time=NOW)
    assert vantage.health.state() is HealthState.ISP_CUT
    vantage.health.set_gateway(4, responds=False, time=NOW)
    assert vantage.health.state() is HealthState.LAN_DOWN
    assert vantage.health.update(result(SITE, "generic_timeout_error"), SITE).scope == "local"
    vantage.health.set_gateway(4, responds=None, time=NOW)
    assert vantage.health.state() is HealthState.UNKNOWN
    assert all("192" not in event.target for event in vantage.events), "no address is sent"


def test_after_sleep_the_health_is_unknown_until_a_witness_responds() -> None:
    vantage = Vantage()
    vantage.set(abroad=True)
    vantage.health.reset(NOW)
    assert vantage.health.state() is HealthState.ASLEEP
    assert vantage.events[-1].failure == "asleep"
    early = vantage.health.update(result(SITE, "generic_timeout_error"), SITE)
    assert early.scope == "local", "the line may not be up yet"
    vantage.set(abroad=True)
    assert vantage.health.state() is HealthState.OK
    assert vantage.health.state(6) is HealthState.UNKNOWN, "what was not known is not asleep"


def test_failures_of_an_overloaded_machine_are_local() -> None:
    vantage = Vantage()
    vantage.set(abroad=True)
    vantage.health.set_flag(Flag.OVERLOADED, raised=True, time=NOW)
    assert vantage.health.state() is HealthState.OVERLOADED
    assert vantage.health.update(result(SITE, "generic_timeout_error"), SITE).scope == "local"


@pytest.mark.parametrize("detail", ["second_answer", "nxdomain_rewritten"])
def test_forged_dns_answers_are_a_flag(detail: str) -> None:
    vantage = Vantage()
    names = WITNESSES["names"]
    forged = result(names, "dns_server_misbehaving", detail=detail, host_responded=True)
    vantage.health.update(forged, names)
    assert Flag.DNS_HIJACKED in vantage.health.flags
    vantage.health.update(result(names), names)
    assert Flag.DNS_HIJACKED not in vantage.health.flags


def test_a_local_failure_of_a_witness_is_ignored() -> None:
    vantage = Vantage()
    local = Measurement(
        "abroad", "tcp", NOW, "network_down", "local", host_responded=False, seconds=0.1
    )
    vantage.health.update(local, WITNESSES["abroad"])
    assert vantage.health.state() is HealthState.UNKNOWN

from datetime import UTC, datetime

import pytest

from netwatch.agent.health.health import Flag, HealthState
from netwatch.agent.health.health_monitor import HealthMonitor, family_of
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
    def __init__(self, *names: str) -> None:
        self.notes: list[Measurement] = []
        self.ladder = HealthMonitor([WITNESSES[name] for name in names], note=self.notes.append)

    def say(self, **host_responded: bool) -> None:
        for name, up in host_responded.items():
            failure = None if up else "generic_timeout_error"
            self.ladder.take(result(WITNESSES[name], failure), WITNESSES[name])


def test_a_change_of_state_is_noted_once() -> None:
    vantage = Vantage("gateway", "home", "abroad")
    for _ in range(3):
        vantage.say(gateway=True, home=True, abroad=True)
    for _ in range(3):
        vantage.say(abroad=False)
    assert vantage.ladder.state(4) is HealthState.INTL_CUT
    assert vantage.ladder.state(6) is HealthState.UNKNOWN
    words = [note.failure for note in vantage.notes]
    assert words[-2:] == [None, "intl_cut"]
    assert {note.target for note in vantage.notes} == {"@health-v4"}
    assert all(note.scope == "local" for note in vantage.notes if note.failure)


@pytest.mark.parametrize(
    ("gateway", "scope"), [(True, "timeout"), (False, "local")], ids=["provider", "cable"]
)
def test_only_a_dead_line_of_our_own_excuses_a_target(*, gateway: bool, scope: str) -> None:
    vantage = Vantage("gateway", "home", "abroad")
    vantage.say(gateway=gateway, home=False, abroad=False)
    failed = vantage.ladder.take(result(SITE, "generic_timeout_error"), SITE)
    assert failed.scope == scope
    assert failed.failure == "generic_timeout_error"


def test_a_success_stays_one_whatever_the_ladder_says() -> None:
    vantage = Vantage("gateway")
    vantage.say(gateway=False)
    assert vantage.ladder.take(result(SITE), SITE) == result(SITE)
    refused = result(SITE, "connection_refused", host_responded=True)
    assert vantage.ladder.take(refused, SITE) == refused


def test_ipv6_that_works_nowhere_is_ours() -> None:
    vantage = Vantage("gateway", "abroad", "abroad6")
    vantage.say(gateway=True, abroad=True, abroad6=False)
    failure = "generic_timeout_error"
    assert vantage.ladder.take(result(SITE6, failure), SITE6).scope == "local"
    assert vantage.ladder.take(result(SITE, failure), SITE).scope == "timeout"
    vantage.say(abroad6=True)
    assert vantage.ladder.take(result(SITE6, failure), SITE6).scope == "timeout"


def test_ipv6_that_has_worked_and_ends_is_an_observation() -> None:
    """Where only IPv6 is cut, its failures are the evidence, and not our own fault."""
    vantage = Vantage("gateway", "abroad", "abroad6")
    vantage.say(gateway=True, abroad=True, abroad6=True)
    vantage.say(abroad6=False)
    failure = "generic_timeout_error"
    assert vantage.ladder.take(result(SITE6, failure), SITE6).scope == "timeout"
    vantage.ladder.wake(NOW)
    vantage.say(abroad6=False)
    assert vantage.ladder.take(result(SITE6, failure), SITE6).scope == "local", "another network?"


def test_the_gateway_alone_proves_no_ipv6() -> None:
    vantage = Vantage("abroad6")
    vantage.ladder.hear_gateway(6, host_responded=True, time=NOW)
    vantage.say(abroad6=False)
    assert vantage.ladder.take(result(SITE6, "generic_timeout_error"), SITE6).scope == "local"


@pytest.mark.parametrize(
    "word", ["http_unexpected_redirect_url", "http_unexpected_status_code", "http_request_failed"]
)
def test_a_captive_portal_is_seen_and_gone(word: str) -> None:
    vantage = Vantage("abroad", "portal")
    portal = WITNESSES["portal"]
    vantage.say(abroad=True)
    vantage.ladder.take(result(portal, word, host_responded=True), portal)
    assert vantage.ladder.state() is HealthState.CAPTIVE
    vantage.ladder.take(result(portal), portal)
    assert vantage.ladder.state() is HealthState.OK
    flags = [(note.target, note.failure) for note in vantage.notes if "flag" in note.target]
    assert flags == [("@flag-captive", "captive"), ("@flag-captive", None)]


def test_behind_a_portal_nothing_counts_but_the_canary() -> None:
    """The portal accepts every connection: neither a success nor a failure is the target's."""
    vantage = Vantage("abroad", "portal")
    portal, abroad = WITNESSES["portal"], WITNESSES["abroad"]
    said = vantage.ladder.take(
        result(portal, "http_unexpected_status_code", host_responded=True), portal
    )
    assert said.scope != "local"
    assert vantage.ladder.take(result(SITE), SITE).scope == "local"
    assert vantage.ladder.take(result(abroad), abroad).scope == "local"
    failed = vantage.ladder.take(result(SITE, "ssl_unknown_authority", host_responded=True), SITE)
    assert (failed.scope, failed.failure) == ("local", "ssl_unknown_authority")


def test_one_canary_that_is_itself_outweighs_one_that_is_broken() -> None:
    other = Target("portal2", "http", "192.0.2.44", group="witness-captive")
    notes: list[Measurement] = []
    ladder = HealthMonitor([WITNESSES["portal"], other], note=notes.append)
    ladder.take(result(other), other)
    ladder.take(
        result(WITNESSES["portal"], "http_unexpected_status_code", host_responded=True),
        WITNESSES["portal"],
    )
    assert Flag.CAPTIVE not in ladder.flags


def test_a_canary_that_nobody_answers_for_is_no_portal() -> None:
    """A shutdown that begins behind a portal must not look like the portal for ever."""
    vantage = Vantage("gateway", "home", "abroad", "portal")
    portal = WITNESSES["portal"]
    vantage.ladder.take(result(portal, "http_unexpected_status_code", host_responded=True), portal)
    vantage.ladder.take(result(portal, "generic_timeout_error"), portal)
    vantage.say(gateway=True, home=True, abroad=False)
    assert vantage.ladder.state() is HealthState.INTL_CUT


def test_a_date_is_nobodys_fault_while_our_own_is_wrong() -> None:
    vantage = Vantage("abroad")
    vantage.say(abroad=True)
    dated = result(SITE, "ssl_invalid_certificate", host_responded=True)
    assert vantage.ladder.take(dated, SITE).scope != "local"
    vantage.ladder.raise_flag(Flag.CLOCK_BAD, up=True, time=NOW)
    assert vantage.ladder.take(dated, SITE).scope == "local"
    named = result(SITE, "ssl_invalid_hostname", host_responded=True)
    assert vantage.ladder.take(named, SITE).scope != "local"
    vantage.ladder.raise_flag(Flag.CLOCK_BAD, up=False, time=NOW)
    assert vantage.ladder.take(dated, SITE).scope != "local"


def test_the_gateway_that_was_found_is_a_witness_like_any() -> None:
    vantage = Vantage("abroad")
    vantage.say(abroad=False)
    assert vantage.ladder.state() is HealthState.UNKNOWN
    vantage.ladder.hear_gateway(4, host_responded=True, time=NOW)
    assert vantage.ladder.state() is HealthState.ISP_CUT
    vantage.ladder.hear_gateway(4, host_responded=False, time=NOW)
    assert vantage.ladder.state() is HealthState.LAN_DOWN
    assert vantage.ladder.take(result(SITE, "generic_timeout_error"), SITE).scope == "local"
    vantage.ladder.hear_gateway(4, host_responded=None, time=NOW)
    assert vantage.ladder.state() is HealthState.UNKNOWN
    assert all("192" not in note.target for note in vantage.notes), "no address is told"


def test_who_wakes_knows_nothing_until_somebody_answers() -> None:
    vantage = Vantage("abroad")
    vantage.say(abroad=True)
    vantage.ladder.wake(NOW)
    assert vantage.ladder.state() is HealthState.ASLEEP
    assert vantage.notes[-1].failure == "asleep"
    early = vantage.ladder.take(result(SITE, "generic_timeout_error"), SITE)
    assert early.scope == "local", "the line may not be up yet"
    vantage.say(abroad=True)
    assert vantage.ladder.state() is HealthState.OK
    assert vantage.ladder.state(6) is HealthState.UNKNOWN, "what was not known is not asleep"


def test_an_overloaded_machine_excuses_everybody() -> None:
    vantage = Vantage("abroad")
    vantage.say(abroad=True)
    vantage.ladder.raise_flag(Flag.OVERLOADED, up=True, time=NOW)
    assert vantage.ladder.state() is HealthState.OVERLOADED
    assert vantage.ladder.take(result(SITE, "generic_timeout_error"), SITE).scope == "local"


@pytest.mark.parametrize("detail", ["second_answer", "nxdomain_rewritten"])
def test_hijacked_names_are_a_flag(detail: str) -> None:
    vantage = Vantage("names")
    names = WITNESSES["names"]
    said = result(names, "dns_server_misbehaving", detail=detail, host_responded=True)
    vantage.ladder.take(said, names)
    assert Flag.DNS_HIJACKED in vantage.ladder.flags
    vantage.ladder.take(result(names), names)
    assert Flag.DNS_HIJACKED not in vantage.ladder.flags


def test_a_witness_that_fails_locally_says_nothing() -> None:
    vantage = Vantage("abroad")
    local = Measurement(
        "abroad", "tcp", NOW, "network_down", "local", host_responded=False, seconds=0.1
    )
    vantage.ladder.take(local, WITNESSES["abroad"])
    assert vantage.ladder.state() is HealthState.UNKNOWN


def test_families() -> None:
    assert [family_of(one) for one in (SITE, SITE6, Target("a", "tcp", "example.org"))] == [4, 6, 4]

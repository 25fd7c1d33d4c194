"""The QA table: docs/lab.md lists the faults and what must be measured; here each one is made."""

import re
from collections.abc import Iterator
from pathlib import Path

import server_faults
from qa import scenarios_agent as agent
from qa import scenarios_line as line
from qa import scenarios_names as names
from qa import scenarios_servers as servers
from qa.case import Case, Outcome, Scenario
from qa.country import ABROAD, DOMESTIC, GATEWAY, OTHER_RESOLVER, Country
from qa.vantage import SUBJECT

from netwatch.agent.health.judge_health import HealthState

__all__ = ["CASES", "SCENARIOS"]

_PAGE = Path(__file__).parents[2] / "docs" / "lab.md"
_SITE4 = "10.9.3.0/24"
_TRUE = "9.9.9.9"
_HUGE = b"HTTP/1.1 200 OK\r\n" + b"X-Padding: " + b"x" * 200_000

SCENARIOS: dict[str, Scenario] = {
    "dnsNXDOMAIN": names.answering(rcode=3),
    "dnsServfail": names.answering(rcode=2),
    "dnsRefused": names.answering(rcode=5),
    "dnsNoAnswer": names.answering(),
    "dnsBogon": names.answering("10.10.34.35"),
    "dnsTimeout": names.silent,
    "dnsPortClosed": names.closed,
    "dnsGarbled": names.garbled,
    "dnsWrongId": names.answering(_TRUE, number=7),
    "dnsInjectedSecondReply": names.injected,
    "dnsNxdomainRewritten": names.rewritten,
    "dnsCutShortThenTcp": names.cut_short,
    "tcpTimeout": servers.silent,
    "tcpRefused": servers.refused,
    "tcpReset": servers.serving("transfer", server_faults.reset_after_request),
    "transferStalls": servers.serving(
        "transfer", server_faults.stall_after(16_384, promised=100_000)
    ),
    "quicBlocked": servers.quic_blocked,
    "tlsReset": servers.speaking_tls(server_faults.reset_after_request),
    "tlsEOF": servers.speaking_tls(server_faults.end_after_request),
    "tlsTimeout": servers.speaking_tls(server_faults.keep_silent),
    "tlsNotSpoken": servers.speaking_tls(server_faults.say(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)),
    "certExpired": servers.certified(days=(-30, -2)),
    "certNotYetValid": servers.certified(days=(2, 30)),
    "certWrongName": servers.certified("other.example"),
    "certUnknownCA": servers.stranger,
    "httpReset": servers.serving("http", server_faults.reset_after_request),
    "httpEOF": servers.serving("http", server_faults.end_after_request),
    "http451": servers.serving(
        "http", server_faults.http_answer("451 Unavailable For Legal Reasons")
    ),
    "http503": servers.serving("http", server_faults.http_answer("503 Service Unavailable")),
    "httpPortalRedirect": servers.serving(
        "http", server_faults.http_answer("302 Found", "Location: http://block.gov.xx/")
    ),
    "httpSlowBody": servers.serving("http", server_faults.answer_slowly),
    "httpNotSpoken": servers.serving("http", server_faults.say(b"220 mail.example ESMTP\r\n\r\n")),
    "httpHugeHead": servers.serving("http", server_faults.say(_HUGE)),
    "nothingWrong": line.nothing_wrong(),
    "nothingWrongV6": line.nothing_wrong(family=6),
    "hostUnreachable": line.at_home(f"route add unreachable {_SITE4}"),
    "routeProhibited": line.at_home(f"route add prohibit {_SITE4}"),
    "routeBlackholed": line.at_home(f"route add blackhole {_SITE4}"),
    "noRoute": line.at_home(
        "route del default",
        *(f"route add {net} via 192.168.77.1" for net in ("10.0.0.0/13", "10.9.0.0/22")),
        f"route add throw {_SITE4}",
    ),
    "netUnreachableV6": line.at_home("route del default via fd77::1", family=6),
    "hostUnreachableFromRouter": line.at_border(f"route add unreachable {_SITE4}"),
    "netUnreachableFromRouter": line.at_border(f"route add throw {_SITE4}"),
    "filteredByRouter": line.at_border(f"route add prohibit {_SITE4}"),
    "silentDrop": line.at_border(
        "neigh add 10.8.0.3 lladdr 02:00:00:00:00:99 dev border0 nud permanent",
        f"route add {_SITE4} via 10.8.0.3",
    ),
    "intlCut": line.happening(Country.pull_border, period=4.0),
    "intlCutSilent": line.happening(Country.drop_at_border),
    "intlCutV6Only": line.happening(lambda country: country.drop_at_border(6), family=6),
    "cableOut": line.happening(Country.pull_lan),
    "gatewayDown": line.at_border(
        "addr del 192.168.77.1/24 dev lan0", "addr del fd77::1/64 dev lan0"
    ),
    "ispCut": line.provider_cut,
    "ispResolverDead": line.resolver_silent,
    "controlHostDown": line.controls_down("10.9.1.1"),
    "lanDownThenUp": line.cable_out_and_in,
    "icmpBlockedTcpOk": line.echo_blocked,
    "icmpUnavailable": line.at_home(probe="icmp", host_fault="no_rights"),
    "transferThrottled": line.throttled,
    "captivePortalPage": line.portal("http", "site.example", port=80),
    "captivePortalCertificate": line.portal("tls", "site.example", port=443),
    "dnsHijackToPortal": line.portal(
        "dns", OTHER_RESOLVER, path="site.example", address=GATEWAY[4]
    ),
    "allControlsDownButTargetsUp": line.controls_down(
        *DOMESTIC[4], *DOMESTIC[6], *ABROAD[4], *ABROAD[6]
    ),
    "dnsTransparentProxy": line.proxy_in_between,
    "dnsNoProxy": line.nobody_in_between,
    "vpnUp": line.through("wg0"),
    "loopOverload": line.overloaded,
    "fdExhaustion": line.at_home(host_fault="no_files"),
    "clockMinus2y": agent.clock_slow,
    "certNotYetValidClockWrong": agent.not_yet_valid,
    "clockJumpPlus6h": agent.clock_set_on,
    "suspend2h": agent.machine_sleeps,
    "brokerBlockedTlsOkUploadStalls": agent.broker_stalls,
}
"""How each fault is made, by its name in the table."""

_DETAILS = {
    "dnsInjectedSecondReply": "second_answer",
    "dnsNxdomainRewritten": "nxdomain_rewritten",
    "transferStalls": "16384",
}
"""Text that the last step's detail must contain."""
_EVENTS = {"suspend2h": "@gap"}
"""Cases that compare an event instead of a target."""
_FLAG_OF_STATE = {HealthState.CAPTIVE, HealthState.OVERLOADED}
"""States that a flag of the same name accompanies; the table shows only the other flags."""


def _read_cases() -> Iterator[Case]:
    """Yield the rows of the table in docs/lab.md."""
    _, _, table = _PAGE.read_text("utf-8").partition("| case |")
    for row in table.splitlines()[2:]:
        if not row.startswith("|"):
            return
        yield _to_case(*(cell.strip() for cell in row.strip("|").split("|")))


def _to_case(*cells: str) -> Case:
    name, fault, failure, operation, scope, host_responded, health, place = cells
    outcome = Outcome(
        None if failure == "none" else failure.strip("`"),
        "" if name in _EVENTS else operation.strip("`"),
        "" if scope == "none" else scope,
        host_responded == "yes",
    )
    in_namespaces = place == "namespaces"
    state = HealthState(health.split("`")[1])
    state6 = re.search("IPv6 `(.*?)`", health)
    flags = set(re.findall("flag `(.*?)`", health))
    return Case(
        name,
        fault,
        SCENARIOS[name],
        outcome,
        state=state,
        # On loopback there are no IPv6 witnesses.
        state6=HealthState(state6[1])
        if state6
        else state
        if in_namespaces
        else HealthState.UNKNOWN,
        flags=frozenset(flags | {str(state)} if state in _FLAG_OF_STATE else flags),
        detail=_DETAILS.get(name, ""),
        row=_EVENTS.get(name, SUBJECT),
        namespaces=in_namespaces,
    )


CASES = [*_read_cases()]

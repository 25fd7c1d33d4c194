"""The line, the country and the world: faults made in network namespaces."""

from qa import scenes_line as line
from qa.case import Case, failing, well
from qa.country import ABROAD, DOMESTIC, GATEWAY, OTHER_RESOLVER, Country

from netwatch.agent.health import HealthState

__all__ = ["CASES"]

_OK, _CUT = HealthState.OK, HealthState.INTL_CUT
_DOWN = HealthState.LAN_DOWN
_SITE4, _SITE6 = "10.9.3.0/24", "fd09:0:3::/48"


ROUTES = [
    Case(
        "nothingWrong",
        "a country on a good day",
        line.nothing_wrong(),
        well("connect"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "nothingWrongV6",
        "the same over IPv6",
        line.nothing_wrong(family=6),
        well("connect"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "hostUnreachable",
        "an `unreachable` route to the site, on the vantage's machine",
        line.at_home(f"route add unreachable {_SITE4}"),
        failing("host_unreachable", "connect", "unreachable"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "routeProhibited",
        "a `prohibit` route to the site, as a firewall of one's own",
        line.at_home(f"route add prohibit {_SITE4}"),
        failing("permission_denied", "connect", "local"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "routeBlackholed",
        "a `blackhole` route to the site",
        line.at_home(f"route add blackhole {_SITE4}"),
        failing("invalid_argument", "connect", "local"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "noRoute",
        "no route to the site on the vantage's machine; others have one",
        line.at_home(
            "route del default",
            *(f"route add {net} via 192.168.77.1" for net in ("10.0.0.0/13", "10.9.0.0/22")),
            f"route add throw {_SITE4}",
        ),
        failing("network_unreachable", "connect", "local"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "netUnreachableV6",
        "no way out over IPv6 at all",
        line.at_home("route del default via fd77::1", family=6),
        failing("network_unreachable", "connect", "local"),
        state6=HealthState.ISP_CUT,
        lab=True,
    ),
    Case(
        "hostUnreachableFromRouter",
        "the provider's router says host unreachable",
        line.at_border(f"route add unreachable {_SITE4}"),
        failing("host_unreachable", "connect", "unreachable"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "netUnreachableFromRouter",
        "the provider's router has lost the way to the site's network, and says so",
        line.at_border(f"route add throw {_SITE4}"),
        failing("network_unreachable", "connect", "unreachable"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "filteredByRouter",
        "the provider's router says that it may not let this pass",
        line.at_border(f"route add prohibit {_SITE4}"),
        failing("host_unreachable", "connect", "unreachable"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "silentDrop",
        "packets to the site vanish without a word",
        line.at_border(
            "neigh add 10.8.0.3 lladdr 02:00:00:00:00:99 dev border0 nud permanent",
            f"route add {_SITE4} via 10.8.0.3",
        ),
        failing("generic_timeout_error", "connect", "timeout"),
        state6=_OK,
        lab=True,
    ),
]

CUTS = [
    Case(
        "intlCut",
        "the cable at the border is pulled; routers say so",
        # A kernel says so once a second at most: the vantage must not ask more often.
        line.happening(Country.pull_border, period=4.0),
        failing("network_unreachable", "connect", "unreachable"),
        state=_CUT,
        state6=_CUT,
        lab=True,
    ),
    Case(
        "intlCutSilent",
        "what goes abroad over IPv4 vanishes without a word",
        line.happening(Country.silence_border),
        failing("generic_timeout_error", "connect", "timeout"),
        state=_CUT,
        state6=_OK,
        lab=True,
    ),
    Case(
        "intlCutV6Only",
        "what goes abroad over IPv6 vanishes without a word",
        line.happening(lambda country: country.silence_border(6), family=6),
        failing("generic_timeout_error", "connect", "timeout"),
        state=_OK,
        state6=_CUT,
        lab=True,
    ),
    Case(
        "cableOut",
        "the vantage's own cable is out",
        line.happening(Country.pull_lan),
        failing("network_unreachable", "connect", "local"),
        state=_DOWN,
        state6=_DOWN,
        lab=True,
    ),
    Case(
        "gatewayDown",
        "the cable is in, and the gateway answers nobody",
        line.at_border("addr del 192.168.77.1/24 dev lan0", "addr del fd77::1/64 dev lan0"),
        failing("host_unreachable", "connect", "local"),
        state=_DOWN,
        state6=_DOWN,
        lab=True,
    ),
]

VANTAGES = [
    Case(
        "ispCut",
        "gateway and resolver answer; what lies behind them vanishes",
        line.provider_cut,
        failing("generic_timeout_error", "connect", "timeout"),
        state=HealthState.ISP_CUT,
        state6=HealthState.ISP_CUT,
        lab=True,
    ),
    Case(
        "ispResolverDead",
        "the provider's resolver says nothing; the site is asked for by name",
        line.resolver_silent,
        failing("dns_temporary_failure", "resolve", "dns"),
        state=HealthState.DNS_ONLY,
        state6=_OK,
        lab=True,
    ),
    Case(
        "controlHostDown",
        "one control abroad answers no more",
        line.controls_down("10.9.1.1"),
        well("connect"),
        state=HealthState.DEGRADED,
        state6=_OK,
        lab=True,
    ),
    Case(
        "lanDownThenUp",
        "the vantage's cable is pulled while it measures, and plugged in again",
        line.cable_out_and_in,
        well("connect"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "icmpBlockedTcpOk",
        "the site's host ignores echo requests; its port answers",
        line.echo_blocked,
        failing("generic_timeout_error", "icmp", "timeout"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "icmpUnavailable",
        "the vantage may open no socket for echo requests",
        line.at_home(probe="icmp", trick="no_rights"),
        failing("unavailable", "icmp", "local"),
        state6=_OK,
        lab=True,
    ),
    Case(
        "transferThrottled",
        "64 kbit/s pass; 100 kB do not come in 4 s",
        line.throttled,
        failing("generic_timeout_error", "transfer", "timeout", alive=True),
        state6=_OK,
        lab=True,
    ),
    Case(
        "captivePortalPage",
        "a captive portal redirects every page to its own",
        line.portal("http", "site.example", port=80),
        failing("http_unexpected_redirect_url", "http_round_trip", "local", alive=True),
        state=HealthState.CAPTIVE,
        state6=HealthState.CAPTIVE,
        flags=frozenset({"captive", "dns_hijacked"}),
        lab=True,
    ),
    Case(
        "captivePortalCertificate",
        "a captive portal answers TLS with its own key",
        line.portal("tls", "site.example", port=443),
        failing("ssl_invalid_hostname", "certificate", "local", alive=True),
        state=HealthState.CAPTIVE,
        state6=HealthState.CAPTIVE,
        flags=frozenset({"captive", "dns_hijacked"}),
        lab=True,
    ),
    Case(
        "dnsHijackToPortal",
        "a captive portal's resolver gives its own, private address for every name",
        line.portal("dns", OTHER_RESOLVER, path="site.example", address=GATEWAY[4]),
        failing("dns_bogon_error", "resolve", "local", alive=True),
        state=HealthState.CAPTIVE,
        state6=HealthState.CAPTIVE,
        flags=frozenset({"captive", "dns_hijacked"}),
        lab=True,
    ),
    Case(
        "allControlsDownButTargetsUp",
        "every control answers no more, at home and abroad; the site does",
        line.controls_down(*DOMESTIC[4], *DOMESTIC[6], *ABROAD[4], *ABROAD[6]),
        well("connect"),
        state=HealthState.DEGRADED,
        state6=HealthState.ISP_CUT,
        lab=True,
    ),
    Case(
        "vpnUp",
        "the way out leads into a tunnel",
        line.through("wg0"),
        well("connect"),
        state6=_OK,
        flags=frozenset({"vpn"}),
        lab=True,
    ),
    Case(
        "loopOverload",
        "the vantage's process is held up for most of the time",
        line.overloaded,
        failing("generic_timeout_error", "connect", "local"),
        state=HealthState.OVERLOADED,
        state6=HealthState.OVERLOADED,
        flags=frozenset({"overloaded"}),
        lab=True,
    ),
    Case(
        "fdExhaustion",
        "the vantage's process has no file descriptor left",
        line.at_home(trick="no_files"),
        failing("unknown_failure: emfile", "connect", "local"),
        state=HealthState.OVERLOADED,
        state6=HealthState.OVERLOADED,
        flags=frozenset({"overloaded"}),
        lab=True,
    ),
]

CASES = [*ROUTES, *CUTS, *VANTAGES]

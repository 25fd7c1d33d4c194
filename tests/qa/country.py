"""A country in three namespaces: a vantage at home, its provider and country, and abroad.

    home --lan-- country --border-- abroad

The gateway, the provider's resolver and the sites of the country are addresses in `country`,
whose kernel forwards between the two cables. Any cable can be pulled, any address taken away.
"""

import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import dns.message
import dns.rdatatype
import server_faults
from namespaces import Namespace, join
from qa.bench import Bench
from qa.vantage import SUBJECT, Job
from servers import tcp_server, udp_server

from netwatch.model.measurement import Target

__all__ = ["ABROAD", "DOMESTIC", "GATEWAY", "RESOLVER", "SITE", "Country"]

GATEWAY = {4: "192.168.77.1", 6: "fd77::1"}
RESOLVER = {4: "10.1.0.53", 6: "fd01::53"}
OTHER_RESOLVER = "10.1.1.53"
DOMESTIC = {4: ("10.2.1.1", "10.2.2.1"), 6: ("fd02:0:1::1", "fd02:0:2::1")}
ABROAD = {4: ("10.9.1.1", "10.9.2.1"), 6: ("fd09:0:1::1", "fd09:0:2::1")}
PORTAL = "45.90.0.80"
"""A portal with a public address: a private one would be detected at once."""
SITE = {4: "10.9.3.1", 6: "fd09:0:3::1"}
"""A site abroad that is not a witness."""
UNUSED = "10.9.5.1"
"""A host abroad without servers."""
_PORT = 443
_WIDTH = {4: 32, 6: 128}
_NETWORKS = {4: "10.9.0.0/16", 6: "fd09::/16"}


def answer_truly(query: bytes) -> list[tuple[float, bytes]]:
    """Answer like a resolver that knows the root and one site."""
    question = dns.message.from_wire(query).question[0]
    if question.rdtype == dns.rdatatype.NS:
        return [(0, server_faults.dns_answer("a.root-servers.net.", kind="NS")(query))]
    if question.name.to_text().lower().endswith(".invalid."):
        return [(0, server_faults.dns_answer(rcode=3)(query))]
    known = [SITE[4]] if question.rdtype == dns.rdatatype.A else []
    return [(0, server_faults.dns_answer(*known)(query))]


@dataclass
class Country:
    """The namespaces, wired and with all their servers up.

    Attributes:
        bench: the bench of the case; what is built here goes with it.
        resolver: what the provider's resolver makes of a query.
        line: what the home's interface is called.
    """

    bench: Bench
    resolver: server_faults.Answer = answer_truly
    line: str = "lan0"
    home: Namespace = field(init=False)
    country: Namespace = field(init=False)
    abroad: Namespace = field(init=False)

    async def __aenter__(self) -> Self:
        enter = self.bench.stack.enter_context
        self.home, self.country, self.abroad = (enter(Namespace()) for _ in range(3))
        for where in (self.home, self.country, self.abroad):
            # These addresses are unique; detecting that takes a second.
            where.set(ipv6__conf__default__accept_dad=0, ipv6__conf__default__dad_transmits=0)
            where.set(ipv6__conf__default__disable_ipv6=0)
        join(self.home, self.country, (self.line, "lan0"))
        join(self.country, self.abroad, ("border0", "border0"))
        self._give_addresses()
        self.country.set(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        # Kernels limit the rate of "unreachable" errors.
        self.country.set(ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)
        # Unanswered neighbour requests fail after 0.2 s instead of three.
        self.home.set(
            **{
                f"ipv4__neigh__{self.line}__mcast_solicit": 1,
                f"ipv4__neigh__{self.line}__retrans_time_ms": 200,
            }
        )
        for family in (4, 6):
            for host in (*DOMESTIC[family], GATEWAY[family]):
                await self.serve(self.country, host)
            for host in (*ABROAD[family], SITE[family]):
                await self.serve(self.abroad, host)
        for host in (RESOLVER[4], OTHER_RESOLVER):
            await self.answer(self.country, host, self.resolver)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Do nothing: the bench releases servers and namespaces."""

    def _give_addresses(self) -> None:
        self.home.ip(
            f"addr add 192.168.77.2/24 dev {self.line}",
            f"addr add fd77::2/64 dev {self.line} nodad",
        )
        self.plug_in_routes()
        self.country.ip(
            f"addr add {GATEWAY[4]}/24 dev lan0",
            f"addr add {GATEWAY[6]}/64 dev lan0 nodad",
            "addr add 10.8.0.1/29 dev border0",
            "addr add fd08::1/64 dev border0 nodad",
            *_own(RESOLVER[4], RESOLVER[6], OTHER_RESOLVER, PORTAL, *DOMESTIC[4], *DOMESTIC[6]),
        )
        self.plug_in_border()
        self.abroad.ip(
            "addr add 10.8.0.2/29 dev border0",
            "addr add fd08::2/64 dev border0 nodad",
            "route add default via 10.8.0.1",
            "route add default via fd08::1",
            f"route add blackhole {UNUSED}",
            *_own(*ABROAD[4], *ABROAD[6], SITE[4], SITE[6]),
        )

    async def serve(
        self,
        where: Namespace,
        host: str,
        handler: server_faults.Handler | None = None,
        port: int = _PORT,
    ) -> None:
        """Serve TCP at an address of a namespace."""
        server = tcp_server(handler, channel=where.listening(host, port))
        await self.bench.stack.enter_async_context(server)

    async def answer(
        self, where: Namespace, host: str, answer: server_faults.Answer, port: int = 53
    ) -> None:
        """Serve UDP at an address of a namespace."""
        server = udp_server(answer, channel=where.datagrams(host, port))
        await self.bench.stack.enter_async_context(server)

    def plug_in_routes(self) -> None:
        """Set the home's default route, as a DHCP client does once the cable is in."""
        self.home.ip(f"link set {self.line} up", "route replace default via 192.168.77.1")
        self.home.ip("route replace default via fd77::1")

    def pull_lan(self) -> None:
        """Pull the cable between the home and its gateway."""
        self.home.ip(f"link set {self.line} down")

    def plug_in_lan(self) -> None:
        """Plug it in again."""
        # Taking a link down takes its IPv6 addresses with it.
        self.home.ip(f"link set {self.line} up", f"addr replace fd77::2/64 dev {self.line} nodad")
        self.plug_in_routes()

    def pull_border(self) -> None:
        """Pull the cable between the country and the world."""
        self.country.ip("link set border0 down")

    def plug_in_border(self) -> None:
        """Plug it in again, and restore the route."""
        self.country.ip(
            "link set border0 up",
            "addr replace fd08::1/64 dev border0 nodad",
            f"route replace {_NETWORKS[4]} via 10.8.0.2",
            f"route replace {_NETWORKS[6]} via fd08::2",
        )

    def drop_at_border(self, family: int = 4) -> None:
        """Route everything abroad to a missing machine, which drops packets silently."""
        missing, network = {4: "10.8.0.3", 6: "fd08::3"}[family], _NETWORKS[family]
        self.country.ip(
            f"neigh replace {missing} lladdr 02:00:00:00:00:99 dev border0 nud permanent",
            f"route replace {network} via {missing} dev border0 onlink",
        )

    def drop(self, host: str) -> None:
        """Drop packets to one host silently."""
        self.abroad.ip(f"addr del {host} dev lo", f"route add blackhole {host}")

    def throttle_lan(self) -> None:
        """Limit the line to the home to 64 kbit/s."""
        _throttle(self.country, "lan0")

    def throttle_border(self) -> None:
        """Limit the line into the country to 64 kbit/s."""
        _throttle(self.abroad, "border0")

    async def open_portal(self, certificate: ssl.SSLContext) -> None:
        """Serve a captive portal: every name resolves to it, and nothing passes."""
        for port, tls in ((80, None), (443, certificate)):
            server = tcp_server(
                server_faults.http_answer("302 Found", "Location: http://portal.example/login"),
                channel=self.country.listening(PORTAL, port),
                tls=tls,
            )
            await self.bench.stack.enter_async_context(server)
        self.drop_at_border(4)
        self.drop_at_border(6)

    def job(
        self, probe: str = "tcp", host: str = SITE[4], port: int = _PORT, **more: object
    ) -> Job:
        """Return the job of probing a host from home, with witnesses of every tier."""
        witnesses = [
            Target(f"{tier}-v{family}-{number}", "tcp", one, port=_PORT, group=f"witness-{tier}")
            for family in (4, 6)
            for tier, hosts in (
                ("lan", (GATEWAY[family],)),
                ("domestic", DOMESTIC[family]),
                ("international", ABROAD[family]),
            )
            for number, one in enumerate(hosts)
        ]
        # The lab's addresses are private, so the query is for the root's name servers.
        witnesses += [
            Target("isp-v4", "dns", RESOLVER[4], path=".", group="witness-isp"),
            Target("names", "dns", RESOLVER[4], path="a1b2.invalid", group="witness-names"),
        ]
        it = Target(SUBJECT, probe, host, port=port, **more)  # type: ignore[arg-type]
        return Job((*witnesses, it), namespace=self.home.path, resolver=RESOLVER[4])


def _throttle(where: Namespace, interface: str) -> None:
    """Limit an interface with a token bucket."""
    bucket = ["rate", "64kbit", "burst", "32kbit", "latency", "400ms"]
    where.run("tc", "qdisc", "replace", "dev", interface, "root", "tbf", *bucket)


def _own(*hosts: str) -> list[str]:
    """Return the commands that add addresses to loopback."""
    return [
        f"addr add {host}/{_WIDTH[6 if ':' in host else 4]} dev lo"
        + (" nodad" if ":" in host else "")
        for host in hosts
    ]

import asyncio
import struct
from ipaddress import ip_network

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from server_faults import dns_answer
from servers import free_port, tcp_server, udp_server

from netwatch.model.measurement import Observation, Target
from netwatch_probes.dns import DnsProbe

PUBLIC = "9.9.9.9"


def reply(query: bytes, *addresses: str, rcode: int = 0, number: int | None = None) -> bytes:
    """Return an answer to `query`, possibly with another query id."""
    return dns_answer(*addresses, rcode=rcode, number=number)(query)


async def measure(
    port: int, name: str = "example.org", within: float = 4.0, probe: DnsProbe | None = None
) -> tuple[Observation, ...]:
    target = Target("one", "dns", "127.0.0.1", port=port, path=name)
    return await (probe or DnsProbe(listen=0.05)).measure(target, within=within)


def words(steps: tuple[Observation, ...]) -> list[tuple[str, str | None]]:
    return [(step.operation, step.failure) for step in steps]


def answered(verdict: str | None) -> list[tuple[str, str | None]]:
    return [("dns_round_trip", None), ("resolve", verdict)]


@pytest.mark.parametrize(
    ("rcode", "addresses", "verdict"),
    [
        (0, [PUBLIC], None),
        (0, [], "dns_no_answer"),
        (2, [], "dns_servfail_error"),
        (3, [], "dns_nxdomain_error"),
        (5, [], "dns_refused_error"),
        (4, [], "dns_server_misbehaving"),
        (0, ["10.10.34.35"], "dns_bogon_error"),
        (0, [PUBLIC, "127.0.0.1"], "dns_bogon_error"),
        (0, ["0.0.0.0"], "dns_bogon_error"),
        (0, ["192.0.2.1"], "dns_bogon_error"),
    ],
)
async def test_answers(rcode: int, addresses: list[str], verdict: str | None) -> None:
    async with udp_server(lambda query: [(0, reply(query, *addresses, rcode=rcode))]) as port:
        assert words(await measure(port)) == answered(verdict)


async def test_configured_private_networks_are_not_bogons() -> None:
    probe = DnsProbe(private=[ip_network("127.0.0.0/8")], listen=0.05)
    async with udp_server(lambda query: [(0, reply(query, "127.0.0.9"))]) as port:
        assert words(await measure(port, probe=probe)) == answered(None)


@pytest.mark.parametrize("path", ["", "."])
async def test_an_empty_path_queries_the_root(path: str) -> None:
    queries: list[dns.message.Message] = []

    def root(query: bytes) -> list[tuple[float, bytes]]:
        request = dns.message.from_wire(query)
        queries.append(request)
        answer = dns.message.make_response(request)
        answer.answer.append(dns.rrset.from_text(".", 60, "IN", "NS", "a.root-servers.net."))
        return [(0, answer.to_wire())]

    async with udp_server(root) as port:
        assert words(await measure(port, path)) == answered(None)
    assert str(queries[0].question[0]) == ". IN NS"


async def test_a_second_answer_is_flagged() -> None:
    def injected(query: bytes) -> list[tuple[float, bytes]]:
        return [(0, reply(query, "8.7.198.46")), (0.05, reply(query, PUBLIC))]

    async with udp_server(injected) as port:
        steps = await measure(port, probe=DnsProbe(listen=0.5))
    assert words(steps) == answered(None)
    assert steps[-1].detail == "second_answer"


async def test_a_repeated_answer_is_not_a_second_answer() -> None:
    async with udp_server(lambda q: [(0, reply(q, PUBLIC)), (0.02, reply(q, PUBLIC))]) as port:
        assert (await measure(port, probe=DnsProbe(listen=0.2)))[-1].detail == ""


async def test_a_rewritten_nxdomain_is_flagged() -> None:
    async with udp_server(lambda query: [(0, reply(query, PUBLIC))]) as port:
        steps = await measure(port, "surely-not.invalid")
    assert words(steps) == answered("dns_server_misbehaving")
    assert steps[-1].detail == "nxdomain_rewritten"
    async with udp_server(lambda query: [(0, reply(query, rcode=3))]) as port:
        assert words(await measure(port, "surely-not.invalid")) == answered(None)


async def test_only_wrong_query_ids_are_a_failure() -> None:
    async with udp_server(lambda query: [(0, reply(query, PUBLIC, number=1))]) as port:
        steps = await measure(port, within=0.3)
    assert words(steps) == [("dns_round_trip", "dns_reply_with_wrong_query_id")]


async def test_a_wrong_query_id_before_the_answer_is_ignored() -> None:
    def forged(query: bytes) -> list[tuple[float, bytes]]:
        return [(0, reply(query, "8.7.198.46", number=1)), (0.05, reply(query, PUBLIC))]

    async with udp_server(forged) as port:
        assert words(await measure(port)) == answered(None)


async def test_noise_is_not_dns() -> None:
    async with udp_server(lambda query: [(0, b"noise")]) as port:
        assert words(await measure(port)) == [("dns_round_trip", "dns_server_misbehaving")]


async def test_silence_is_a_timeout() -> None:
    async with udp_server(lambda query: []) as port:
        steps = await measure(port, within=0.3)
    assert words(steps) == [("dns_round_trip", "generic_timeout_error")]


async def test_a_closed_port_is_refused() -> None:
    assert words(await measure(free_port())) == [("dns_round_trip", "connection_refused")]


async def test_a_truncated_answer_is_queried_again_over_tcp() -> None:
    def cut(query: bytes) -> list[tuple[float, bytes]]:
        answer = dns.message.from_wire(reply(query))
        answer.flags |= dns.flags.TC
        return [(0, answer.to_wire())]

    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = reply(await reader.readexactly(length), PUBLIC)
        writer.write(struct.pack("!H", len(answer)) + answer)
        await writer.drain()

    async with tcp_server(whole) as port, udp_server(cut, port=port):
        assert words(await measure(port)) == answered(None)


async def test_host_system_uses_the_systems_resolver() -> None:
    target = Target("one", "dns", "system", path="localhost")
    steps = await DnsProbe().measure(target, within=5)
    assert words(steps) == [("resolve", None), ("resolve", "dns_bogon_error")]


@pytest.mark.parametrize("name", ["a..b", "x" * 64, ".".join(["x" * 60] * 5)])
async def test_a_name_that_dns_cannot_encode(name: str) -> None:
    async with udp_server(lambda query: []) as port:
        steps = await measure(port, name, within=0.5)
    assert steps[-1].failure == "dns_nxdomain_error"

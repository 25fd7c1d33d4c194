"""DNS: does a name server answer, plausibly and only once?

dnspython encodes and decodes the messages; sockets and limits are ours.
"""

import asyncio
import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Network, IPv6Network, ip_address

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from netwatch.model.errors import InputError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.measurement import Target
from netwatch_probes.limited_stream import LimitedStream, LimitError
from netwatch_probes.recorder import (
    Address,
    LimitedDatagrams,
    StepError,
    StepProbe,
    StepRecorder,
    open_connection,
    resolve,
)

_DEFAULT_PORT = 53
_SYSTEM = "system"
"""A host that stands for the system's resolver."""
_EDNS_BUFFER = 1232
"""Bytes of the largest UDP answer: it passes everywhere unfragmented (DNS Flag Day 2020)."""
_MAX_TCP = 32 * 1024
"""Bytes of the largest answer over TCP."""
_LISTEN = 0.5
"""Seconds to wait for a second answer: an injected answer comes first, the real one follows."""
_RCODES = {
    dns.rcode.NXDOMAIN: "dns_nxdomain_error",
    dns.rcode.SERVFAIL: "dns_servfail_error",
    dns.rcode.REFUSED: "dns_refused_error",
}
_SECOND_ANSWER = "second_answer"
_REWRITTEN = "nxdomain_rewritten"


class DnsProbe(StepProbe):
    """Queries the A record of the target's path at the target's host.

    Over UDP, then TCP if the answer is truncated; host `system` uses the system's resolver. An
    empty path, or `.`, queries the root's name servers, which every resolver knows.

    Step `dns_round_trip` shows that the server answered; step `resolve` judges its answer, with
    the detail `second_answer` if two different answers came. A name below `.invalid` cannot
    exist: there, NXDOMAIN is the success, and an address is the failure
    `dns_server_misbehaving` with the detail `nxdomain_rewritten`. An address outside the public
    Internet is `dns_bogon_error`, unless it lies in one of the `private` networks.
    """

    name = "dns"
    cost_bytes = 300
    max_seconds = 4.0
    essential = True
    in_consent_text = True

    def __init__(
        self, *, private: Sequence[IPv4Network | IPv6Network] = (), listen: float = _LISTEN
    ) -> None:
        self._private = tuple(private)
        self._listen = listen

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Query once."""
        if target.host == _SYSTEM:
            _, address = await resolve(target.path or "localhost", steps)
            with steps.step("resolve"):
                self._check_addresses([address])
            return
        server = await resolve(target.host, steps)
        with ExitStack() as channels:
            with steps.step("dns_round_trip"):
                query = _make_query(target.path)
                port = target.port or _DEFAULT_PORT
                channel = await open_connection(server, port, kind=socket.SOCK_DGRAM)
                exchange = _UdpExchange(query, channels.enter_context(channel), steps)
                answer = await exchange.first_answer()
                if answer.flags & dns.flags.TC:
                    answer = await _query_over_tcp(query, server, port) or answer
            has_second = await exchange.has_second(answer, self._listen)
        with steps.step("resolve"):
            must_not_exist = target.path.endswith(".invalid")
            rewritten = must_not_exist and answer.rcode() == dns.rcode.NOERROR and answer.answer
            steps.detail = _SECOND_ANSWER if has_second else _REWRITTEN if rewritten else ""
            self._judge(answer, must_not_exist=must_not_exist)

    def _judge(self, answer: dns.message.Message, *, must_not_exist: bool) -> None:
        if must_not_exist and answer.rcode() == dns.rcode.NXDOMAIN:
            return
        if answer.rcode() != dns.rcode.NOERROR:
            raise StepError(_RCODES.get(answer.rcode(), "dns_server_misbehaving"))
        wanted = answer.question[0].rdtype
        records = [record for rrset in answer.answer if rrset.rdtype == wanted for record in rrset]
        if not records:
            raise StepError("dns_no_answer")
        if must_not_exist:
            raise StepError("dns_server_misbehaving")
        if wanted == dns.rdatatype.A:
            self._check_addresses([str(record) for record in records])

    def _check_addresses(self, addresses: Sequence[str]) -> None:
        for text in addresses:
            address = ip_address(text)
            if not address.is_global and not any(address in net for net in self._private):
                raise StepError("dns_bogon_error")


class _UdpExchange:
    def __init__(
        self, query: dns.message.Message, channel: socket.socket, steps: StepRecorder
    ) -> None:
        self._query, self._steps = query, steps
        self._datagrams = LimitedDatagrams(channel, overflow="dns_server_misbehaving")

    async def first_answer(self) -> dns.message.Message:
        await self._datagrams.send(self._query.to_wire())
        return await self._next_answer()

    async def has_second(self, first: dns.message.Message, seconds: float) -> bool:
        """Return whether another answer comes within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while _content(await self._next_answer()) == _content(first):
                    pass
        except (TimeoutError, OSError, StepError):
            return False
        return True

    async def _next_answer(self) -> dns.message.Message:
        """Return the next packet that answers the query; others change the word of a timeout."""
        while True:
            packet = await self._datagrams.receive()
            try:
                answer = read_answer(packet)
            except InputError as error:
                raise StepError("dns_server_misbehaving") from error
            if self._query.is_response(answer):
                return answer
            self._steps.timeout_word = "dns_reply_with_wrong_query_id"


async def _query_over_tcp(
    query: dns.message.Message, server: Address, port: int
) -> dns.message.Message | None:
    """Return the whole of a truncated answer, None if it does not come."""
    wire = query.to_wire()
    try:
        with LimitedStream(await open_connection(server, port), limit=_MAX_TCP) as stream:
            await stream.write(len(wire).to_bytes(2, "big") + wire)
            length = int.from_bytes(await stream.read_exactly(2), "big")
            answer = read_answer(await stream.read_exactly(length))
    except (OSError, EOFError, LimitError, InputError):
        return None
    return answer if query.is_response(answer) else None


def read_answer(packet: bytes) -> dns.message.Message:
    """Return the message in a packet, as far as it goes if truncated; raises InputError."""
    return decode_foreign(packet, _from_wire, what="DNS answer")


def _from_wire(packet: bytes) -> dns.message.Message:
    try:
        return dns.message.from_wire(packet, ignore_trailing=True)
    except dns.message.Truncated as error:
        answer: dns.message.Message = error.message()  # type: ignore[no-untyped-call] # dnspython
        return answer


def _make_query(name: str) -> dns.message.Message:
    """Return the query, with letters in random case, which a forger has to guess."""
    random = secrets.SystemRandom()
    mixed = "".join(random.choice((letter.lower(), letter.upper())) for letter in name)
    kind = dns.rdatatype.A if name.strip(".") else dns.rdatatype.NS
    try:
        return dns.message.make_query(mixed or ".", kind, payload=_EDNS_BUFFER)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise StepError("dns_nxdomain_error") from error


def _content(answer: dns.message.Message) -> tuple[int, frozenset[str]]:
    records = frozenset(str(record) for rrset in answer.answer for record in rrset)
    return answer.rcode(), records

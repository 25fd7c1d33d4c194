"""Does a name server answer, with a plausible answer, and only once?

dnspython is named in this file only, for its messages; sockets and limits are ours.
"""

import asyncio
import secrets
import socket
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from time import perf_counter

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from netwatch.model.byte_counter import count_datagram
from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import Probe
from netwatch_probes.limited_stream import LimitedStream, LimitError
from netwatch_probes.recorder import Address, StepError, StepRecorder, open_connection, resolve

_DEFAULT_PORT = 53
_SYSTEM = "system"
_PAYLOAD = 1232
"""EDNS buffer that passes everywhere unfragmented (DNS Flag Day 2020)."""
_LONGEST = 4.0
_PACKET = 4096
"""Bytes that are read of a packet; one that is longer than we said it may be is cut."""
_MOST = 32 * 1024
"""Bytes of packets that are read for one question, whoever sends them."""
_LISTEN = 0.5
"""Seconds to wait for a second answer after the first: who injects is quicker, not alone."""
_RCODES = {
    dns.rcode.NXDOMAIN: "dns_nxdomain_error",
    dns.rcode.SERVFAIL: "dns_servfail_error",
    dns.rcode.REFUSED: "dns_refused_error",
}
SECOND_ANSWER = "second_answer"
REWRITTEN = "nxdomain_rewritten"


class DnsProbe(NoOptions, Probe):
    """Asks the target's host for the A record of the target's path.

    Over UDP, then TCP if the answer was cut; host `system` asks by the way of the system's
    resolver. An empty path, or `.`, asks for the root's name servers, which every resolver knows.
    Step `dns_round_trip` says that the server answered, step `resolve` what its answer is
    worth, with detail `second_answer` where two different ones came. A name below
    `.invalid` cannot exist: there NXDOMAIN is the success, and an address the failure
    `dns_server_misbehaving` with detail `nxdomain_rewritten`. An address that cannot be on
    the public Internet is `dns_bogon_error`, unless it lies in one of the `private` networks.
    """

    name = "dns"
    cost_bytes = 300
    essential = True
    in_consent_text = True

    def __init__(
        self, *, private: Sequence[IPv4Network | IPv6Network] = (), listen: float = _LISTEN
    ) -> None:
        self._private = tuple(private)
        self._listen = listen

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Ask once; see `netwatch.protocols.Probe`."""
        steps = StepRecorder(within=min(within, _LONGEST))
        detail, asking = "", None
        async with steps:
            if target.host == _SYSTEM:
                _, address = await resolve(target.path or "localhost", steps)
                with steps.step("resolve"):
                    self._check([address])
                return steps.observations
            server = await resolve(target.host, steps)
            port = target.port or _DEFAULT_PORT
            with steps.step("dns_round_trip"):
                asking = _Asking(_question(target.path), server, port, self._listen)
                answer = await asking.first()
            detail = SECOND_ANSWER if await asking.has_second(answer) else ""
            with steps.step("resolve"):
                detail = detail or _rewritten(target.path, answer)
                self._judge(answer, impossible=target.path.endswith(".invalid"))
        last = steps.observations[-1]
        if detail and last.operation == "resolve":
            steps.note(detail)
        if asking and asking.strange and last.failure == "generic_timeout_error":
            wrong = Observation(last.operation, "dns_reply_with_wrong_query_id", last.seconds)
            return (*steps.observations[:-1], wrong)
        return steps.observations

    def _judge(self, answer: dns.message.Message, *, impossible: bool) -> None:
        """Raise StepError unless the answer holds what was asked for."""
        if impossible and answer.rcode() == dns.rcode.NXDOMAIN:
            return
        if answer.rcode() != dns.rcode.NOERROR:
            raise StepError(_RCODES.get(answer.rcode(), "dns_server_misbehaving"))
        wanted = answer.question[0].rdtype
        records = [entry for rows in answer.answer if rows.rdtype == wanted for entry in rows]
        if not records:
            raise StepError("dns_no_answer")
        if impossible:
            raise StepError("dns_server_misbehaving")
        if wanted == dns.rdatatype.A:
            self._check([str(entry) for entry in records])

    def _check(self, addresses: Sequence[str]) -> None:
        """Raise StepError for an address that cannot be on the public Internet."""
        for text in addresses:
            address = ip_address(text)
            if not address.is_global and not any(address in net for net in self._private):
                raise StepError("dns_bogon_error")


class _Asking:
    """One question to one server, and what comes back."""

    def __init__(
        self, question: dns.message.Message, server: Address, port: int, listen: float
    ) -> None:
        self._question = question
        self._server = server
        self._port = port
        self._listen = listen
        self._channel: socket.socket | None = None
        self._read = 0
        self.strange = False

    async def first(self) -> dns.message.Message:
        """Return the first answer to the question; `strange` tells of answers to others.

        Raises:
            StepError: what came is no DNS at all.
            OSError: the server's host refuses.
        """
        self._channel = await open_connection(self._server, self._port, kind=socket.SOCK_DGRAM)
        loop = asyncio.get_running_loop()
        wire = self._question.to_wire()
        count_datagram(len(wire))
        await loop.sock_sendall(self._channel, wire)
        try:
            answer = await self._next(self._channel)
        except BaseException:
            self._channel.close()
            raise
        if answer.flags & dns.flags.TC:
            return await self._ask_by_tcp() or answer
        return answer

    async def _ask_by_tcp(self) -> dns.message.Message | None:
        """Return the whole of an answer that was cut, None where it does not come."""
        wire = self._question.to_wire()
        try:
            connection = await open_connection(self._server, self._port)
            with LimitedStream(connection, most=_MOST) as stream:
                await stream.write(len(wire).to_bytes(2, "big") + wire)
                length = int.from_bytes(await stream.read_exactly(2), "big")
                answer = dns.message.from_wire(await stream.read_exactly(length))
        except (OSError, EOFError, LimitError, dns.exception.DNSException, ValueError):
            return None
        return answer if self._question.is_response(answer) else None

    async def has_second(self, first: dns.message.Message) -> bool:
        """Tell whether another answer with other content comes in a while."""
        if self._channel is None:
            return False
        end = perf_counter() + self._listen
        try:
            async with asyncio.timeout(self._listen):
                while perf_counter() < end:
                    if _content(await self._next(self._channel)) != _content(first):
                        return True
        except (TimeoutError, OSError, StepError):
            return False
        finally:
            self._channel.close()
        return False

    async def _next(self, channel: socket.socket) -> dns.message.Message:
        """Return the next packet that answers the question; others are remembered only."""
        loop = asyncio.get_running_loop()
        while True:
            packet = await loop.sock_recv(channel, _PACKET)
            self._read += len(packet)
            count_datagram(len(packet))
            if self._read > _MOST:
                raise StepError("dns_server_misbehaving")
            try:
                answer = dns.message.from_wire(packet, ignore_trailing=True)
            except dns.message.Truncated as error:
                answer = error.message()  # type: ignore[no-untyped-call] # dnspython left it out
            except (dns.exception.DNSException, ValueError) as error:
                raise StepError("dns_server_misbehaving") from error
            if self._question.is_response(answer):
                return answer
            self.strange = True


def _question(name: str) -> dns.message.Message:
    """Return the question, with letters in random case, which a forger has to guess."""
    coin = secrets.SystemRandom()
    mixed = "".join(coin.choice((letter.lower(), letter.upper())) for letter in name)
    kind = dns.rdatatype.A if name.strip(".") else dns.rdatatype.NS
    try:
        return dns.message.make_query(mixed or ".", kind, payload=_PAYLOAD)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise StepError("dns_nxdomain_error") from error


def _content(answer: dns.message.Message) -> tuple[int, frozenset[str]]:
    """Return what an answer says, without order and times to live."""
    records = frozenset(str(entry) for rows in answer.answer for entry in rows)
    return answer.rcode(), records


def _rewritten(name: str, answer: dns.message.Message) -> str:
    """Return the flag for a name that cannot exist and yet has an answer."""
    if name.endswith(".invalid") and answer.rcode() == dns.rcode.NOERROR and answer.answer:
        return REWRITTEN
    return ""

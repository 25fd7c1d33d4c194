"""Traceroute: where does the path to the host end?

A router at which a packet's time to live expires sends an ICMP error, and Linux delivers it to
the socket that sent the packet (`IP_RECVERR`, ip(7)), without privileges. The routers' addresses
stay on this machine; only whether they are private, and their networks if a table is available,
are reported.
"""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import groupby
from pathlib import Path

from netwatch.model.byte_counter import count_datagram
from netwatch.model.measurement import Target
from netwatch.protocols import MissingRequirement
from netwatch_probes.asn_lookup import lookup_asns
from netwatch_probes.recorder import BUFFER, Address, StepError, StepProbe, StepRecorder, resolve

_MAX_HOPS = 30
_GROUP = 6
"""Hops that are probed at once."""
_GROUP_SECONDS = 1.0
"""Seconds to wait for the routers of one group."""
_MAX_SILENT_GROUPS = 2
_BASE_PORT = 33_434
"""Hop n is probed at this port plus n; hosts ordinarily do not listen there."""
_PAYLOAD = b"netwatch"
_ICMP_BYTES = 36
"""Bytes in a router's answer: its own header, and that of our packet."""
_MAX_DETAIL = 110
# Of <linux/in.h>, <linux/in6.h> and <linux/errqueue.h>; Python 3.11 names none of them.
_RECEIVE_ERRORS = {socket.AF_INET: (0, 11), socket.AF_INET6: (41, 25)}
_TIME_TO_LIVE = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}
_MSG_ERRQUEUE = 0x2000
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_OFFENDER = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}
"""Offset after the extended error, and length, of the router's address."""
_ICMP_ORIGINS = {2, 3}
"""Origins of an error that came as ICMP or ICMPv6, and not from our own kernel."""
_PORT_UNREACHABLE = {socket.AF_INET: (3, 3), socket.AF_INET6: (1, 4)}
_UNREACHABLE = {socket.AF_INET: 3, socket.AF_INET6: 1}


class TracerouteProbe(StepProbe):
    """Follows the path to the host, up to 30 hops, and reports in which network it ends.

    The detail of step `traceroute` is the path as runs of equal hops, such as
    `private*2,AS64500*3,silent*4`, without addresses. It succeeds if the host itself answered.
    ASNs are known if the environment variable `NETWATCH_NETWORKS` names a file of prefixes;
    otherwise public hops are `public`. On other systems than Linux it is `unavailable`.

    It runs when a vantage's health changes, at most 20 times a day.
    """

    name = "traceroute"
    cost_bytes = 5_000
    max_seconds = 10.0
    on_change_only = True

    def __init__(self, *, networks: Path | None = None) -> None:
        configured = os.environ.get("NETWATCH_NETWORKS", "")
        self._networks = networks or (Path(configured) if configured else None)

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Follow the path once."""
        if self.missing_requirement() is not None:
            with steps.step("traceroute"):
                raise StepError("unavailable")
        address = await resolve(target.host, steps)
        with steps.step("traceroute"), _open_socket(address[0]) as channel:
            trace = _Trace(channel, address, steps.within)
            await trace.run()
            steps.detail = await asyncio.to_thread(self._describe, trace.hops())
            trace.judge()

    def missing_requirement(self) -> MissingRequirement | None:
        """Return that this is not Linux, if so."""
        if sys.platform != "linux":
            return MissingRequirement("it needs Linux", "remove the traceroute targets")
        return None

    def _describe(self, hops: Collection[str]) -> str:
        """Return the path without addresses; blocks while a table of networks is read."""
        public = {hop for hop in hops if hop and ip_address(hop).is_global}
        asns: Mapping[str, int] = {}
        if public and self._networks is not None:
            asns = lookup_asns(public, self._networks)
        words = [_describe_hop(hop, asns) for hop in hops]
        runs = [(word, len(list(equal))) for word, equal in groupby(words)]
        path = ",".join(f"{word}*{count}" if count > 1 else word for word, count in runs)
        return path[:_MAX_DETAIL]


def _describe_hop(hop: str, asns: Mapping[str, int]) -> str:
    if not hop:
        return "silent"
    if not ip_address(hop).is_global:
        return "private"
    return f"AS{asns[hop]}" if hop in asns else "public"


def _open_socket(family: socket.AddressFamily) -> socket.socket:
    channel = socket.socket(family, socket.SOCK_DGRAM)
    channel.settimeout(0)
    channel.setsockopt(*_RECEIVE_ERRORS[family], 1)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    return channel


@dataclass(frozen=True, slots=True)
class _Hop:
    address: str
    arrived: bool
    refused: bool


class _Trace:
    def __init__(self, channel: socket.socket, address: Address, within: float) -> None:
        self._channel = channel
        self._family, self._address = address
        self._loop = asyncio.get_running_loop()
        # What was found must be described before the timeout.
        self._end = self._loop.time() + within * 0.9
        self._answers: dict[int, _Hop] = {}
        self._probed = 0

    async def run(self) -> None:
        silent = 0
        while self._probed < _MAX_HOPS and silent < _MAX_SILENT_GROUPS:
            if self._loop.time() >= self._end:
                return
            group = range(self._probed + 1, min(self._probed + _GROUP, _MAX_HOPS) + 1)
            self._probed = group[-1]
            for hop in group:
                self._probe(hop)
            await self._receive(group)
            if self._last_hop() is not None:
                return
            silent = 0 if any(hop in self._answers for hop in group) else silent + 1

    def hops(self) -> list[str]:
        """Return the address that answered at each hop up to the last, empty if none did."""
        last = self._last_hop() or self._probed
        return [
            self._answers[hop].address if hop in self._answers else "" for hop in range(1, last + 1)
        ]

    def judge(self) -> None:
        if not any(answer.arrived for answer in self._answers.values()):
            refused = self._last_hop() is not None
            raise StepError("host_unreachable" if refused else "generic_timeout_error")

    def _last_hop(self) -> int | None:
        ends = (hop for hop, answer in self._answers.items() if answer.arrived or answer.refused)
        return min(ends, default=None)

    def _probe(self, hop: int) -> None:
        self._channel.setsockopt(*_TIME_TO_LIVE[self._family], hop)
        count_datagram(len(_PAYLOAD))
        destination = (self._address, _BASE_PORT + hop)
        try:
            self._channel.sendto(_PAYLOAD, destination)
        except OSError:
            # The kernel reports an earlier packet's error on the next call.
            self._read_errors()
            self._channel.sendto(_PAYLOAD, destination)

    async def _receive(self, group: Collection[int]) -> None:
        readable = asyncio.Event()
        self._loop.add_reader(self._channel, readable.set)
        try:
            async with asyncio.timeout_at(min(self._loop.time() + _GROUP_SECONDS, self._end)):
                while self._last_hop() is None and any(hop not in self._answers for hop in group):
                    await readable.wait()
                    readable.clear()
                    self._read_errors()
        except TimeoutError:
            return
        finally:
            self._loop.remove_reader(self._channel)

    def _read_errors(self) -> None:
        """Read the socket's error queue, and discard what the host itself sends."""
        for flags in (_MSG_ERRQUEUE, 0):
            for _ in range(2 * _MAX_HOPS):
                try:
                    _, ancillary, _, destination = self._channel.recvmsg(512, 512, flags)
                except BlockingIOError:
                    break
                except OSError:
                    continue
                for level, kind, data in ancillary:
                    if (level, kind) == _RECEIVE_ERRORS[self._family]:
                        self._add_answer(data, destination[1] - _BASE_PORT)

    def _add_answer(self, data: bytes, hop: int) -> None:
        count_datagram(_ICMP_BYTES)
        _, origin, kind, code, *_ = _EXTENDED_ERROR.unpack_from(data)
        if origin not in _ICMP_ORIGINS or not 1 <= hop <= self._probed:
            return
        offset, length = _OFFENDER[self._family]
        start = _EXTENDED_ERROR.size + offset
        arrived = (kind, code) == _PORT_UNREACHABLE[self._family]
        self._answers[hop] = _Hop(
            address=socket.inet_ntop(self._family, data[start : start + length]),
            arrived=arrived,
            refused=kind == _UNREACHABLE[self._family] and not arrived,
        )

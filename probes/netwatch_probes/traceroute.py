"""Where does the way to the host end?

Packets whose time to live runs out are answered by the router at which that happens, and
Linux hands those answers to the socket that sent the packet (`IP_RECVERR`, ip(7)): no
privilege is needed. Which router it was stays on this machine; what is told is whether it
was private, and which network it belongs to where a table of networks is at hand.
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
from netwatch.model.measurement import Observation, Target
from netwatch.plugins import NoOptions
from netwatch.protocols import MissingRequirement, Probe
from netwatch_probes.asn_lookup import lookup_asns
from netwatch_probes.recorder import BUFFER, Address, StepError, StepRecorder, resolve

_LONGEST = 10.0
_HOPS = 30
_AT_ONCE = 6
_PATIENCE = 1.0
"""Seconds that the routers of one group of hops have."""
_PORT = 33_434
"""First of the ports that nobody listens on; hop n is asked for at this and n."""
_SILENT_GROUPS = 2
_PAYLOAD = b"netwatch"
# Of <linux/in.h>, <linux/in6.h> and <linux/errqueue.h>; Python 3.11 names none of them.
_RECEIVE_ERRORS = {socket.AF_INET: (0, 11), socket.AF_INET6: (41, 25)}
_TIME_TO_LIVE = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}
_ERROR_QUEUE = 0x2000
_ERROR = struct.Struct("=IBBBBII")
_OFFENDER = {socket.AF_INET: (4, 4), socket.AF_INET6: (8, 16)}
_FROM_ROUTERS = {2, 3}
"""Origins of an error that came as ICMP or ICMPv6, and not from our own kernel."""
_NO_SUCH_PORT = {socket.AF_INET: (3, 3), socket.AF_INET6: (1, 4)}
_UNREACHABLE = {socket.AF_INET: 3, socket.AF_INET6: 1}
_SHOWN = 110
_QUOTED = 36
"""Bytes in a router's answer: its own head, and that of the packet it is about."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one router said about a packet of ours."""

    hop: int
    address: str
    arrived: bool
    refused: bool


class TracerouteProbe(NoOptions, Probe):
    """Follows the way to the host, up to 30 hops, and says in which network it ends.

    The detail of step `traceroute` is the way as runs of alike hops, such as
    `private*2,AS64500*3,silent*4`: no address in it. It is a success where the host itself
    answered. Networks are known where the environment's `NETWATCH_NETWORKS` names a file of
    prefixes; else public hops are `public`. Elsewhere than on Linux it is `unavailable`.

    It is asked when a vantage's health changes, not at every round, and 20 times a day at
    the most.
    """

    name = "traceroute"
    cost_bytes = 5_000
    on_change_only = True

    def __init__(self, *, networks: Path | None = None) -> None:
        named = os.environ.get("NETWATCH_NETWORKS", "")
        self._networks = networks or (Path(named) if named else None)

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Follow the way once; see `netwatch.protocols.Probe`."""
        if sys.platform != "linux":
            return (Observation("traceroute", "unavailable", 0.0),)
        steps = StepRecorder(within=min(within, _LONGEST))
        path = ""
        async with steps:
            address = await resolve(target.host, steps)
            with steps.step("traceroute"):
                with _open_socket(address[0]) as channel:
                    walk = _Walk(channel, address, min(within, _LONGEST))
                    await walk.run()
                path = await asyncio.to_thread(self._describe, walk.addresses())
                walk.judge()
        if path:
            steps.note(path)
        return steps.observations

    def _describe(self, hops: Collection[str]) -> str:
        """Return the way without its addresses; blocks, where a table of networks is read."""
        public = {hop for hop in hops if hop and ip_address(hop).is_global}
        known: Mapping[str, int] = {}
        if public and self._networks is not None:
            known = lookup_asns(public, self._networks)
        words = [_word(hop, known) for hop in hops]
        runs = [(word, len(list(alike))) for word, alike in groupby(words)]
        return ",".join(f"{word}*{count}" if count > 1 else word for word, count in runs)[:_SHOWN]

    def missing_requirement(self) -> MissingRequirement | None:
        """Return that this is not Linux, if so."""
        if sys.platform != "linux":
            return MissingRequirement("it needs Linux", "remove the traceroute targets")
        return None


def _word(hop: str, networks: Mapping[str, int]) -> str:
    """Return what is told of a hop."""
    if not hop:
        return "silent"
    if not ip_address(hop).is_global:
        return "private"
    return f"AS{networks[hop]}" if hop in networks else "public"


def _open_socket(family: socket.AddressFamily) -> socket.socket:
    """Return a socket that is told what becomes of its packets."""
    channel = socket.socket(family, socket.SOCK_DGRAM)
    channel.settimeout(0)
    channel.setsockopt(*_RECEIVE_ERRORS[family], 1)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    return channel


class _Walk:
    """One way, followed in groups of hops until the host answers or nobody does."""

    def __init__(self, channel: socket.socket, address: Address, within: float) -> None:
        self._channel = channel
        self._family, self._address = address
        self._loop = asyncio.get_running_loop()
        # The answers that are there must still be told before the time is up.
        self._end = self._loop.time() + within * 0.9
        self._answers: dict[int, _Answer] = {}
        self._asked = 0

    async def run(self) -> None:
        """Ask for hop after hop.

        Raises:
            OSError: this machine has no way to the host.
        """
        silent = 0
        while self._asked < _HOPS and silent < _SILENT_GROUPS:
            group = range(self._asked + 1, min(self._asked + _AT_ONCE, _HOPS) + 1)
            if self._loop.time() >= self._end:
                return
            for hop in group:
                self._ask(hop)
            self._asked = group[-1]
            await self._listen(group)
            if self._is_over():
                return
            silent = 0 if any(hop in self._answers for hop in group) else silent + 1

    def addresses(self) -> list[str]:
        """Return who answered at each hop up to the last, empty where nobody did."""
        over = [hop for hop, answer in self._answers.items() if answer.arrived or answer.refused]
        last = min(over, default=self._asked)
        return [
            self._answers[hop].address if hop in self._answers else "" for hop in range(1, last + 1)
        ]

    def judge(self) -> None:
        """Raise what kept us from arriving, if anything did."""
        if any(answer.arrived for answer in self._answers.values()):
            return
        if any(answer.refused for answer in self._answers.values()):
            raise StepError("host_unreachable")
        raise StepError("generic_timeout_error")

    def _is_over(self) -> bool:
        return any(answer.arrived or answer.refused for answer in self._answers.values())

    def _ask(self, hop: int) -> None:
        """Send the packet that ends at a hop."""
        self._channel.setsockopt(*_TIME_TO_LIVE[self._family], hop)
        count_datagram(len(_PAYLOAD))
        place = (self._address, _PORT + hop)
        try:
            self._channel.sendto(_PAYLOAD, place)
        except OSError:
            # What an earlier packet met is reported on the next call; it was not ours to meet.
            self._take_all()
            self._channel.sendto(_PAYLOAD, place)

    async def _listen(self, group: Collection[int]) -> None:
        """Take answers until all of a group are there, or its time is up."""
        end = min(self._loop.time() + _PATIENCE, self._end)
        try:
            async with asyncio.timeout_at(end):
                while not self._is_over() and any(hop not in self._answers for hop in group):
                    await self._wait()
                    self._take_all()
        except TimeoutError:
            return

    async def _wait(self) -> None:
        """Wait until the socket has something to tell."""
        told = asyncio.Event()
        self._loop.add_reader(self._channel, told.set)
        try:
            await told.wait()
        finally:
            self._loop.remove_reader(self._channel)

    def _take_all(self) -> None:
        """Take what is in the error queue, and drop what a host may say of its own."""
        for flags in (_ERROR_QUEUE, 0):
            for _ in range(2 * _HOPS):
                try:
                    _, extra, _, place = self._channel.recvmsg(512, 512, flags)
                except BlockingIOError:
                    break
                except OSError:
                    continue
                for level, kind, data in extra:
                    if (level, kind) == _RECEIVE_ERRORS[self._family]:
                        self._take(data, place[1] - _PORT)

    def _take(self, data: bytes, hop: int) -> None:
        """Take down one answer."""
        count_datagram(_QUOTED)
        _, origin, kind, code, *_ = _ERROR.unpack_from(data)
        if origin not in _FROM_ROUTERS or not 1 <= hop <= self._asked_at_most():
            return
        skip, length = _OFFENDER[self._family]
        start = _ERROR.size + skip
        offender = socket.inet_ntop(self._family, data[start : start + length])
        self._answers[hop] = _Answer(
            hop=hop,
            address=offender,
            arrived=(kind, code) == _NO_SUCH_PORT[self._family],
            refused=kind == _UNREACHABLE[self._family]
            and (kind, code) != _NO_SUCH_PORT[self._family],
        )

    def _asked_at_most(self) -> int:
        return self._asked + _AT_ONCE

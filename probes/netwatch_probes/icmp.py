"""ICMP: does the host answer an echo request?"""

import asyncio
import secrets
import socket
import struct

from netwatch.model.measurement import Target
from netwatch.protocols import MissingRequirement
from netwatch_probes.recorder import (
    BUFFER,
    Address,
    LimitedDatagrams,
    StepError,
    StepProbe,
    StepRecorder,
    resolve,
)

_ATTEMPTS = 2
_NONCE_BYTES = 16
_HEADER = struct.Struct("!BBHHH")
# Echo request and reply (RFC 792; RFC 4443, 4.1 and 4.2).
_TYPES = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
_PROTOCOLS = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}


class IcmpProbe(StepProbe):
    """Sends up to two echo requests and accepts the reply that carries its nonce.

    It works without privileges if the system allows that (`net.ipv4.ping_group_range`), else
    over a raw socket; else the step fails with `unavailable`, which is a local failure.
    """

    name = "icmp"
    cost_bytes = 200
    max_seconds = 4.0
    in_consent_text = True

    async def run_steps(self, target: Target, steps: StepRecorder) -> None:
        """Ping once."""
        address = await resolve(target.host, steps)
        with steps.step("echo"), _open_socket(address[0]) as channel:
            await _ping(channel, address, steps.within)

    def missing_requirement(self) -> MissingRequirement | None:
        """Return that this user may not open a socket for echo requests, if so."""
        try:
            _open_socket(socket.AF_INET).close()
        except StepError:
            fix = 'run as root: sysctl -w net.ipv4.ping_group_range="0 2147483647"'
            return MissingRequirement("this user may not send echo requests", fix)
        return None


def _open_socket(family: socket.AddressFamily) -> socket.socket:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            channel = socket.socket(family, kind, _PROTOCOLS[family])
        except PermissionError:
            continue
        channel.settimeout(0)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        return channel
    raise StepError("unavailable")


async def _ping(channel: socket.socket, address: Address, within: float) -> None:
    """Return once the host has replied; raises OSError for the ICMP errors of routers."""
    # A raw socket also receives the replies to other processes.
    datagrams = LimitedDatagrams(channel, overflow="generic_timeout_error")
    # Not the loop's own sock_connect: it resolves the address, and does not know ICMP.
    channel.connect((address[1], 0))
    request_type, reply_type = _TYPES[address[0]]
    nonce, identifier = secrets.token_bytes(_NONCE_BYTES), secrets.randbits(16)
    for sequence in range(_ATTEMPTS):
        await datagrams.send(_packet(request_type, identifier, sequence, nonce))
        is_last = sequence + 1 == _ATTEMPTS
        try:
            async with asyncio.timeout(within / _ATTEMPTS * (2 if is_last else 0.9)):
                while not _is_reply(await datagrams.receive(), reply_type, nonce):
                    pass
                return
        except TimeoutError:
            continue
    raise TimeoutError


def _packet(kind: int, identifier: int, sequence: int, nonce: bytes) -> bytes:
    """Return an echo request with its checksum (RFC 1071); for IPv6 the kernel sets it."""
    plain = _HEADER.pack(kind, 0, 0, identifier, sequence) + nonce
    total = sum(struct.unpack(f"!{len(plain) // 2}H", plain))
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    return _HEADER.pack(kind, 0, ~total & 0xFFFF, identifier, sequence) + nonce


def _is_reply(packet: bytes, reply_type: int, nonce: bytes) -> bool:
    """Return whether a packet is our reply. A raw IPv4 socket includes the IP header."""
    if packet and packet[0] >> 4 == 4 and len(packet) > _NONCE_BYTES + _HEADER.size:
        packet = packet[(packet[0] & 0x0F) * 4 :]
    return packet[:1] == bytes([reply_type]) and packet.endswith(nonce)

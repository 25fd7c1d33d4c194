import socket
import struct

import pytest

from netwatch.model.measurement import Observation, Target
from netwatch_probes import icmp
from netwatch_probes.icmp import IcmpProbe


async def measure(host: str = "127.0.0.1", within: float = 2.0) -> Observation:
    (step,) = await IcmpProbe().measure(Target("one", "icmp", host), within=within)
    assert step.operation == "echo"
    return step


def only(kinds: set[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Allow only these kinds of socket."""
    real = socket.socket

    def limited(family: int, kind: int, protocol: int) -> socket.socket:
        if kind not in kinds:
            raise PermissionError
        return real(family, kind, protocol)

    monkeypatch.setattr(icmp.socket, "socket", limited)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1"])
async def test_loopback_answers_if_echo_requests_are_allowed(host: str) -> None:
    step = await measure(host)
    if step.failure in {"unavailable", "address_not_available"}:
        pytest.skip("this machine allows no echo requests here")
    assert step.failure is None


async def test_raw_sockets_are_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    only({socket.SOCK_RAW}, monkeypatch)
    step = await measure()
    if step.failure == "unavailable":
        pytest.skip("raw sockets are not allowed")
    assert step.failure is None


async def test_without_permission_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    only(set(), monkeypatch)
    assert (await measure()).failure == "unavailable"
    missing = IcmpProbe().missing_requirement()
    assert missing is not None
    assert "ping_group_range" in missing.fix


def test_the_checksum_adds_up() -> None:
    packet = icmp._packet(8, 0xBEEF, 1, bytes(range(16)))
    total = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_only_the_reply_with_the_nonce_counts() -> None:
    nonce = bytes(range(16))
    request = icmp._packet(8, 1, 0, nonce)
    reply = b"\0" + request[1:]
    header = bytes([0x45]) + bytes(19)
    assert icmp._is_reply(reply, 0, nonce)
    assert icmp._is_reply(header + reply, 0, nonce)
    assert not icmp._is_reply(request, 0, nonce)
    assert not icmp._is_reply(b"\0" + request[1:-1] + b"?", 0, nonce)
    assert not icmp._is_reply(b"", 0, nonce)

"""Addresses are checked before connecting."""

import asyncio
import socket
import threading

import pytest

from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Target
from netwatch_probes.tcp import TcpProbe


def answer(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Make the system's resolver return one address for every name."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    row = (family, socket.SOCK_STREAM, 6, "", (address, 0))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [row])


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "::1", "fd00::1", "fe80::1%lo", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1",
     "2001:0:a00:1::1", "fec0::1", "::10.0.0.1", "224.0.0.1"],
)  # fmt: skip
async def test_a_public_name_with_a_private_address_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    answer(monkeypatch, address)
    target = Target("trap", "tcp", "www.example.org", port=9)
    (step,) = await TcpProbe().measure(target, within=5)
    assert (step.operation, step.failure) == ("resolve", "dns_bogon_error")


@pytest.mark.parametrize("name", ["localhost", "router", "router.lan", "nas.local"])
async def test_a_private_name_with_a_private_address_is(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    answer(monkeypatch, "127.0.0.1")
    steps = await TcpProbe().measure(Target("own", "tcp", name, port=9), within=5)
    assert [step.operation for step in steps] == ["resolve", "connect"]
    assert steps[0].failure is None


async def test_a_look_up_without_a_thread_is_a_local_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead resolver blocks all threads; look-ups in the queue were never sent."""
    release = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        release.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    targets = [Target(f"site-{n}", "tcp", f"site-{n}.example.org") for n in range(6)]
    try:
        measured = await asyncio.gather(
            *(TcpProbe().measure(target, within=0.3) for target in targets)
        )
    finally:
        release.set()
    words = [steps[-1].failure for steps in measured]
    assert words.count("generic_timeout_error") == 4
    assert words.count("unknown_failure: resolvers") == 2
    assert lookup_failure("unknown_failure: resolvers").scope is FailureScope.LOCAL

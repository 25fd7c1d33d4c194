"""Failover: the order of attempts, back-off, and the status of each transport."""

import asyncio
import ssl
from collections import Counter
from random import Random
from time import monotonic
from typing import Self

import pytest
from servers import until

from netwatch.agent.uplink.failover import Endpoint, TransportFailover, TransportStatus
from netwatch.model.errors import TransportError
from netwatch.protocols import Message, Transport
from netwatch.wire.memory import MemoryBroker, MemoryTransport


class Broken(MemoryTransport):
    """A transport that never connects, for a reason of the test's choice."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(MemoryBroker())
        self._cause = cause

    async def __aenter__(self) -> Self:
        raise TransportError("cannot reach it") from self._cause


class Rig:
    """Endpoints that work or fail as the test says, and the order of attempts."""

    def __init__(self, *names: str, pace: float = 0.01) -> None:
        self.broker = MemoryBroker()
        self.broken: dict[str, Exception] = {}
        self.tried: list[str] = []
        self.changes: list[TransportStatus] = []
        self.endpoints = [Endpoint(name.split("/")[0], name, self._factory(name)) for name in names]
        self.failover = TransportFailover(self.endpoints, pace=pace, random=Random(1))
        self.failover.on_status_change = self.changes.append

    def _factory(self, name: str):  # noqa: ANN202 - a factory of transports
        def connect(will: Message | None) -> Transport:
            self.tried.append(name)
            cause = self.broken.get(name)
            return Broken(cause) if cause else MemoryTransport(self.broker, will=will)

        return connect

    async def connect(self) -> str:
        async with asyncio.timeout(10):
            endpoint, transport = await self.failover.connect(will)
        await transport.__aexit__(None, None, None)
        return endpoint.host


def will(transport: str) -> Message:
    return Message("nw/v1/a/a1/p", transport.encode(), retained=True)


def refused() -> OSError:
    return ConnectionRefusedError(111, "refused")


async def test_the_first_transport_that_works_is_used() -> None:
    rig = Rig("mqtt", "websocket", "https")
    rig.broken = {"mqtt": refused()}
    assert await rig.connect() == "websocket"
    assert rig.tried == ["mqtt", "websocket"]
    assert [(one.transport, one.failure) for one in rig.changes] == [("mqtt", "connection_refused")]


async def test_lower_transports_are_tried_first_once_after_a_failure() -> None:
    rig = Rig("mqtt", "websocket", "https")
    rig.broken = {"websocket": refused(), "https": refused()}
    rig.failover.demote(rig.endpoints[0], TransportError("accepts, and acknowledges nothing"))
    assert await rig.connect() == "mqtt"
    assert rig.tried == ["websocket", "https", "mqtt"]


async def test_all_endpoints_are_tried_and_the_one_that_worked_usually_first() -> None:
    rig = Rig("mqtt/a", "mqtt/b", "mqtt/c")
    rig.broken = {"mqtt/a": refused(), "mqtt/c": refused()}
    assert await rig.connect() == "mqtt/b"
    rig.failover.record_failure(rig.endpoints[0], TransportError("no"))
    rig.failover.record_failure(rig.endpoints[2], TransportError("no"))
    rig.failover.record_success(rig.endpoints[1])
    first: Counter[str] = Counter()
    for _ in range(200):
        rig.tried.clear()
        await rig.connect()
        first[rig.tried[0]] += 1
    # Weights 8 to 1 to 1: the working endpoint in about 160 of 200, the others at times.
    assert 130 < first["mqtt/b"] < 190
    assert first["mqtt/a"] > 0 < first["mqtt/c"]


async def test_a_status_is_reported_when_it_changes() -> None:
    rig = Rig("mqtt", "https")
    endpoint = rig.endpoints[0]
    for _ in range(3):
        rig.failover.record_failure(endpoint, TransportError("x"))
    rig.failover.record_success(endpoint)
    rig.failover.record_success(endpoint)
    assert [one.failure for one in rig.changes] == ["unknown_failure: transport", None]


@pytest.mark.parametrize(
    ("cause", "word"),
    [
        (TimeoutError(), "generic_timeout_error"),
        (ssl.SSLEOFError(), "eof_error"),
        (OSError(113, "no route"), "host_unreachable"),
    ],
)
async def test_a_failure_word_names_the_root_cause(cause: Exception, word: str) -> None:
    rig = Rig("mqtt", "https")
    rig.broken = {"mqtt": cause}
    await rig.connect()
    assert rig.changes[0].failure == word


async def test_retry_now_ends_the_back_off() -> None:
    rig = Rig("mqtt", pace=1000.0)
    rig.broken = {"mqtt": refused()}
    connecting = asyncio.ensure_future(rig.connect())
    await until(lambda: bool(rig.tried))
    rig.broken = {}
    began = monotonic()
    rig.failover.retry_now()
    assert await connecting == "mqtt"
    assert monotonic() - began < 5


async def test_delays_grow_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []

    class Spy(Random):
        def uniform(self, low: float, high: float) -> float:
            bounds.append(high)
            return 0.0

    rig = Rig("mqtt", pace=10.0)
    rig.failover._random = Spy(1)
    rig.broken = {"mqtt": refused()}
    connecting = asyncio.ensure_future(rig.connect())
    await until(lambda: len(bounds) >= 12)
    connecting.cancel()
    await asyncio.gather(connecting, return_exceptions=True)
    assert bounds[:5] == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert set(bounds[8:]) == {300.0}

"""The ladder: which way is tried next, how patiently, and what is known of each rung."""

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


class Cut(MemoryTransport):
    """A link that never comes up, for a reason of the test's choice."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(MemoryBroker())
        self._cause = cause

    async def __aenter__(self) -> Self:
        raise TransportError("cannot reach it") from self._cause


class Field:
    """Ways that work or do not, as the test says, and the order in which they were tried."""

    def __init__(self, *names: str, pace: float = 0.01) -> None:
        self.broker = MemoryBroker()
        self.broken: dict[str, Exception] = {}
        self.tried: list[str] = []
        self.noted: list[TransportStatus] = []
        self.ways = [Endpoint(name.split("/")[0], name, self._factory(name)) for name in names]
        self.ladder = TransportFailover(self.ways, pace=pace, random=Random(1))
        self.ladder.on_status_change = self.noted.append

    def _factory(self, name: str):  # noqa: ANN202 - a factory of links
        def connect(will: Message | None) -> Transport:
            self.tried.append(name)
            cause = self.broken.get(name)
            return Cut(cause) if cause else MemoryTransport(self.broker, will=will)

        return connect

    async def connect(self, **more: float) -> str:
        async with asyncio.timeout(10):
            way, link = await self.ladder.connect(will, **more)
        await link.__aexit__(None, None, None)
        return way.host


def will(rung: str) -> Message:
    return Message("nw/v1/a/a1/p", rung.encode(), retained=True)


def refused() -> OSError:
    return ConnectionRefusedError(111, "refused")


async def test_the_best_rung_that_works_is_taken() -> None:
    field = Field("mqtt", "websocket", "https")
    field.broken = {"mqtt": refused()}
    assert await field.connect() == "websocket"
    assert field.tried == ["mqtt", "websocket"]
    assert [(one.transport, one.failure) for one in field.noted] == [("mqtt", "connection_refused")]


async def test_below_a_rung_that_did_not_serve_comes_first_once() -> None:
    field = Field("mqtt", "websocket", "https")
    field.broken = {"websocket": refused(), "https": refused()}
    assert await field.connect(below=0) == "mqtt"
    assert field.tried == ["websocket", "https", "mqtt"]


async def test_all_hosts_of_a_rung_are_tried_and_the_one_that_worked_first() -> None:
    field = Field("mqtt/a", "mqtt/b", "mqtt/c")
    field.broken = {"mqtt/a": refused(), "mqtt/c": refused()}
    assert await field.connect() == "mqtt/b"
    field.ladder.record_failure(field.ways[0], TransportError("no"))
    field.ladder.record_failure(field.ways[2], TransportError("no"))
    field.ladder.record_success(field.ways[1])
    first: Counter[str] = Counter()
    for _ in range(200):
        field.tried.clear()
        await field.connect()
        first[field.tried[0]] += 1
    # 8 to 1 to 1: the one that worked in 160 of 200, the others now and then.
    assert 130 < first["mqtt/b"] < 190
    assert first["mqtt/a"] > 0 < first["mqtt/c"]


async def test_an_outcome_is_told_when_it_changes() -> None:
    field = Field("mqtt", "https")
    way = field.ways[0]
    for _ in range(3):
        field.ladder.record_failure(way, TransportError("x"))
    field.ladder.record_success(way)
    field.ladder.record_success(way)
    assert [one.failure for one in field.noted] == ["unknown_failure: link", None]


@pytest.mark.parametrize(
    ("cause", "word"),
    [
        (TimeoutError(), "generic_timeout_error"),
        (ssl.SSLEOFError(), "eof_error"),
        (OSError(113, "no route"), "host_unreachable"),
    ],
)
async def test_a_failure_has_the_word_of_its_cause(cause: Exception, word: str) -> None:
    field = Field("mqtt", "https")
    field.broken = {"mqtt": cause}
    await field.connect()
    assert field.noted[0].failure == word


async def test_a_hint_ends_the_wait() -> None:
    field = Field("mqtt", pace=1000.0)
    field.broken = {"mqtt": refused()}
    climbing = asyncio.ensure_future(field.connect())
    await until(lambda: bool(field.tried))
    field.broken = {}
    began = monotonic()
    field.ladder.retry_now()
    assert await climbing == "mqtt"
    assert monotonic() - began < 5


async def test_waits_grow_to_a_bound_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []

    class Spy(Random):
        def uniform(self, low: float, high: float) -> float:
            bounds.append(high)
            return 0.0

    field = Field("mqtt", pace=10.0)
    field.ladder._random = Spy(1)
    field.broken = {"mqtt": refused()}
    climbing = asyncio.ensure_future(field.connect())
    await until(lambda: len(bounds) >= 12)
    climbing.cancel()
    await asyncio.gather(climbing, return_exceptions=True)
    assert bounds[:5] == [2.0, 4.0, 8.0, 16.0, 32.0]
    assert set(bounds[8:]) == {300.0}

"""A broker and a collector, which a vantage in a namespace reaches through a relay."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import socket
from typing import Self

from servers import PASSWORD, USERNAME, tcp_server

from netwatch.aio.tasks import cancel_and_wait
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.config import AnalysisConfig
from netwatch.model.duration import Duration
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Message, Transport
from netwatch.store.memory import MemoryStore
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.mqtt import MqttTransport

__all__ = ["Observatory", "relay"]

_WIDE = timedelta(days=3000)


class Observatory:
    """A broker and a collector on loopback; use it as an async context manager.

    Attributes:
        port: the port of the broker.
    """

    def __init__(self, folder: Path, targets: tuple[Target, ...]) -> None:
        self._targets = {target.id: target for target in targets}
        self._batch_log = BatchLog(folder / "batches.sqlite")
        self._metrics = CollectorMetrics()
        self._stack = AsyncExitStack()
        self.port = 0

    async def __aenter__(self) -> Self:
        broker = EmbeddedBroker(users={USERNAME: PASSWORD})
        await self._stack.enter_async_context(broker)
        self.port = broker.port
        self._stack.callback(self._batch_log.close)
        deps = CollectorDeps(
            connect=self._connect,
            batch_log=self._batch_log,
            store=MemoryStore(),
            targets=self._targets,
            accept_unsigned=True,
            clock=lambda: datetime.now(UTC),
            config=AnalysisConfig(bin=Duration(seconds=1), late_data_grace=Duration(seconds=1)),
            metrics=self._metrics,
        )
        task = asyncio.ensure_future(run_collector(deps))
        self._stack.push_async_callback(cancel_and_wait, [task])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _connect(self, will: Message | None) -> Transport:
        return MqttTransport(
            host="127.0.0.1", port=self.port, username=USERNAME, password=PASSWORD, will=will
        )

    def measurements(self) -> list[Measurement]:
        """Return what has arrived, events included."""
        now = datetime.now(UTC)
        return [one for _, one in self._batch_log.measurements(now - _WIDE, now + _WIDE)]

    def stored(self) -> int:
        """Return how many measurements have arrived; cheap, so that waiting starves no one."""
        return by_label(self._metrics.measurements)["stored"]

    def has_exactly(self, rows: Collection[Measurement]) -> bool:
        """Return whether `rows` have arrived, each once, and nothing else.

        They are compared by target and outcome; the collector may have corrected their times.
        """
        return self.stored() == len(rows) and _count(self.measurements()) == _count(rows)


def _count(rows: Iterable[Measurement]) -> Counter[object]:
    return Counter((one.target, one.failure) for one in rows)


@asynccontextmanager
async def relay(channel: socket, port: int) -> AsyncIterator[None]:
    """Forward connections to `channel`, in any namespace, to a port of this machine."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(reader, outer), pump(inner, writer))
        finally:
            outer.transport.abort()

    async with tcp_server(forward, channel=channel):
        yield

"""Agents, a broker and a collector on loopback: what is measured arrives once, whatever dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from servers import PASSWORD, USERNAME, free_port, mosquitto, tcp_server, until

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.config import AgentConfig, AnalysisConfig
from netwatch.model.duration import Duration
from netwatch.model.entities import Entity
from netwatch.model.measurement import Target, Vantage
from netwatch.model.series import Bin
from netwatch.model.voices import is_voices
from netwatch.protocols import Message, Transport
from netwatch.store.memory import MemoryStore
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.mqtt import MqttTransport
from netwatch_probes.tcp import TcpProbe

NETWORK = Entity.parse("asn:64500")


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Line:
    """One collector and its agents, on files that outlive them."""

    folder: Path
    port: int
    targets: list[Target]
    store: MemoryStore = field(default_factory=MemoryStore)
    metrics: CollectorMetrics = field(default_factory=CollectorMetrics)

    def connect(self, will: Message | None) -> Transport:
        return MqttTransport(
            host="127.0.0.1", port=self.port, username=USERNAME, password=PASSWORD, will=will
        )

    @asynccontextmanager
    async def collector(self) -> AsyncIterator[BatchLog]:
        batch_log = BatchLog(self.folder / "batches.sqlite")
        parts = CollectorDeps(
            connect=self.connect,
            batch_log=batch_log,
            store=self.store,
            targets={target.id: target for target in self.targets},
            accept_unsigned=True,
            clock=now,
            config=AnalysisConfig(bin=Duration(seconds=0.5), late_data_grace=Duration(seconds=0.5)),
            metrics=self.metrics,
        )
        async with running(run_collector(parts)):
            yield batch_log
        batch_log.close()

    @asynccontextmanager
    async def agent(self, name: str) -> AsyncIterator[Spool]:
        vantage = Vantage(name, "XX", 64501)
        spool = Spool(self.folder / f"{name}.sqlite", vantage=vantage, created_at=now())
        deps = AgentDeps(
            vantage=vantage,
            targets=self.targets,
            probes={"tcp": TcpProbe()},
            endpoints=[Endpoint("link", "", self.connect)],
            spool=spool,
            clock=DisciplinedClock(now, boot="ab" * 8, kernel=lambda: None),
            config=AgentConfig(
                period=Duration(seconds=0.3),
                timeout=Duration(seconds=5),
                flush_interval=Duration(seconds=0.2),
            ),
        )
        async with running(run_agent(deps)):
            yield spool
        spool.close()

    def bins(self) -> list[Bin]:
        return [
            one
            for one in self.store.read_bins(
                datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
            )
            if one.series.entity == NETWORK and not is_voices(one)
        ]


@asynccontextmanager
async def running(work: object) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(params=["embedded", "mosquitto"])
async def port(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[int]:
    if request.param == "embedded":
        async with EmbeddedBroker(users={USERNAME: PASSWORD}) as broker:
            yield broker.port
        return
    server = mosquitto(tmp_path)
    yield await asyncio.to_thread(server.__enter__)
    await asyncio.to_thread(server.__exit__, None, None, None)


def target(port: int, name: str = "one", host: str = "127.0.0.1") -> Target:
    return Target(name, "tcp", host, port=port, asn=64500, country="XX")


async def test_measurements_become_bins(port: int, tmp_path: Path) -> None:
    async with tcp_server(host="127.66.0.1") as server:
        line = Line(tmp_path, port, [target(server, host="127.66.0.1")])
        async with line.collector(), line.agent("a1"), line.agent("a2"):
            await until(lambda: len(line.bins()) >= 3)
        bins = line.bins()
    assert all(one.value == one.total for one in bins)
    assert sum(one.total or 0 for one in bins) >= 5


async def test_the_store_has_a_measurement_soon_after_its_bin(port: int, tmp_path: Path) -> None:
    async with tcp_server() as server:
        line = Line(tmp_path, port, [target(server)])
        async with line.collector(), line.agent("a1"):
            await until(lambda: len(line.bins()) >= 2)
            behind = now() - line.bins()[-1].time
    # Bin 0.5 s, grace 0.5 s, and some for a slow machine.
    assert behind < timedelta(seconds=8)


async def test_a_dark_network_is_a_zero_and_a_refusing_host_is_alive(
    port: int, tmp_path: Path
) -> None:
    closed = free_port()
    line = Line(tmp_path, port, [target(closed)])
    async with line.collector(), line.agent("a1"):
        await until(lambda: bool(line.bins()))
    assert all(count.value == count.total for count in line.bins())


async def test_restarts_lose_and_duplicate_nothing(port: int, tmp_path: Path) -> None:
    """The collector goes and comes on the same files, three times, while an agent measures."""
    async with tcp_server() as server:
        line = Line(tmp_path, port, [target(server, "one"), target(server, "two")])
        async with line.agent("a1") as spool:
            for _ in range(3):
                async with line.collector():
                    before = by_label(line.metrics.measurements)["stored"]
                    await until(
                        lambda before=before: (
                            by_label(line.metrics.measurements)["stored"] > before + 3
                        )
                    )
                await asyncio.sleep(Random().uniform(0.1, 0.6))
        async with line.collector() as batch_log, line.agent("a1") as spool:
            await until(lambda: by_label(line.metrics.measurements)["stored"] > before + 10)
        async with line.collector() as batch_log:
            # Nothing is measured any more; batches under way may still arrive.
            def stored() -> list[tuple[str, str, datetime]]:
                span = now() - timedelta(hours=1), now() + timedelta(hours=1)
                rows = batch_log.measurements(*span)
                return [(vantage.id, one.target, one.time) for vantage, one in rows]

            def countable() -> int:
                # A failure while the test's own loop is late is local and counts in no bin.
                span = now() - timedelta(hours=1), now() + timedelta(hours=1)
                return sum(one.scope != "local" for _, one in batch_log.measurements(*span))

            await until(lambda: sum(count.total or 0 for count in line.bins()) == countable())
            inside = stored()
        spool = Spool(tmp_path / "a1.sqlite", vantage=Vantage("a1"), created_at=now())
        left = spool.count_pending()
        spool.close()
    assert len(set(inside)) == len(inside) == by_label(line.metrics.measurements)["stored"]
    # What was acknowledged has left the spool, however much a slow machine still had under way.
    assert left < len(inside)
    # A period is 0.3 s: no gap in what one target saw is longer than a few of them.
    times = sorted(time for _, name, time in inside if name == "one")
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < timedelta(seconds=6)


async def test_garbage_is_counted_and_costs_nothing_else(port: int, tmp_path: Path) -> None:
    async with tcp_server() as server:
        line = Line(tmp_path, port, [target(server)])
        async with line.collector(), line.connect(None) as stranger, line.agent("a1"):
            await until(lambda: by_label(line.metrics.measurements)["stored"] > 0)
            await stranger.publish("nw/v1/a/evil/b", b"\x00garbled")
            await stranger.publish("nw/v1/a/evil/b", b"NW\x01" + b"x" * 100_000)
            await until(lambda: by_label(line.metrics.batches)["too_large"] == 1)
            before = by_label(line.metrics.measurements)["stored"]
            await until(lambda: by_label(line.metrics.measurements)["stored"] > before)
    assert by_label(line.metrics.batches)["garbled"] == 1


async def test_an_unreachable_broker_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Agent and collector start first; the broker comes later; nothing is lost."""
    port = free_port()
    async with tcp_server() as server:
        line = Line(tmp_path, port, [target(server)])
        async with line.collector(), line.agent("a1") as spool:
            await until(lambda: spool.count_pending() >= 3)
            assert not line.bins()
            async with EmbeddedBroker(users={USERNAME: PASSWORD}, port=port):
                await until(lambda: bool(line.bins()))
                await until(lambda: by_label(line.metrics.measurements)["stored"] >= 6)
    lines = [entry.message for entry in caplog.records if "cannot reach broker" in entry.message]
    assert len(lines) == 2  # one of the agent, one of the collector, none a retry
    assert f"127.0.0.1:{port}" in lines[0]


async def test_a_full_disk_delays_and_loses_nothing(tmp_path: Path) -> None:
    broker = EmbeddedBroker(users={USERNAME: PASSWORD})
    async with broker, tcp_server() as server:
        line = Line(tmp_path, broker.port, [target(server)])
        async with line.collector() as batch_log, line.agent("a1"):
            await until(lambda: by_label(line.metrics.measurements)["stored"] > 0)
            pages = "PRAGMA max_page_count"
            await asyncio.to_thread(batch_log._file.execute, f"{pages} = 1")
            await until(lambda: by_label(line.metrics.errors)["batch_log"] > 0)
            before = by_label(line.metrics.measurements)["stored"]
            await asyncio.to_thread(batch_log._file.execute, f"{pages} = 1000000")
            await until(lambda: by_label(line.metrics.measurements)["stored"] > before + 3)
            start = now() - timedelta(hours=1)
            times = sorted(one.time for _, one in batch_log.measurements(start, now()))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert max(gaps) < timedelta(seconds=6)

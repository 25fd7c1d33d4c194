"""An uplink, a real Mosquitto and a real collector with its HTTP routes, on loopback."""

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from servers import PASSWORD, USERNAME, free_port, mosquitto, need, wait_for_port
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from netwatch.agent.identity import Identity
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.agent.uplink.session_presence import start_session
from netwatch.agent.uplink.uplink import Uplink
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.tasks import cancel_and_wait
from netwatch.app.http_agent_routes import ingest_routes
from netwatch.app.http_server import serve
from netwatch.app.sender_limits import SenderLimits
from netwatch.app.transports import endpoints
from netwatch.collector.agent_tables import Standing
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.ingest_queue import IngestQueue
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.collector.metrics import CollectorMetrics
from netwatch.config import AnalysisConfig, Config, UplinkConfig
from netwatch.model.duration import Duration
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.protocols import Message, Transport
from netwatch.signals.presence.log import PresenceEvent, PresenceLog
from netwatch.store.memory import MemoryStore
from netwatch.wire.mqtt import MqttSession, MqttTransport
from netwatch.wire.presence_message import PRESENCE
from netwatch.wire.rate_advice import RateAdvice


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def running(*works: object) -> AsyncIterator[None]:
    """Run coroutines during a test; fail if one ends before it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        await cancel_and_wait(tasks)


@asynccontextmanager
async def serving(routes: Sequence[BaseRoute], port: int = 0) -> AsyncIterator[int]:
    """Serve routes as the observatory does; yields the port."""
    listener = socket.create_server(("127.0.0.1", port))
    async with running(serve(Starlette(routes=routes), listener)):
        yield listener.getsockname()[1]


@contextmanager
def two_listeners(folder: Path, *, extra: str = "", port: int = 0) -> Iterator[tuple[int, int]]:
    """Run Mosquitto with MQTT and MQTT over a WebSocket; yields both ports."""
    web = free_port()
    more = f"listener {web} 127.0.0.1\nprotocol websockets\n{extra}"
    with mosquitto(folder, port=port, extra=more, also=(web,)) as plain:
        yield plain, web


@dataclass
class Rig:
    """One collector and any number of agents, on files that outlive them."""

    folder: Path
    port: int
    pace: float = 0.1
    rate_advice: RateAdvice | None = None
    shared: bool = False
    settle_time: timedelta = timedelta(seconds=1)
    will_delay: int = 0
    timeout: float = 2.0
    queue: IngestQueue = field(default_factory=IngestQueue)
    store: MemoryStore = field(default_factory=MemoryStore)
    metrics: CollectorMetrics = field(default_factory=CollectorMetrics)
    agents: dict[str, Identity] = field(default_factory=dict)
    collector_key: Identity = field(default_factory=lambda: Identity(Ed25519PrivateKey.generate()))
    numbers: Iterator[int] = field(default_factory=count)
    workers: dict[Spool, SingleThreadExecutor] = field(default_factory=dict)
    since: datetime = datetime(2000, 1, 1, tzinfo=UTC)
    until: datetime = datetime(2100, 1, 1, tzinfo=UTC)

    def connect(self, will: Message | None) -> Transport:
        return MqttTransport(
            host="127.0.0.1", port=self.port, username=USERNAME, password=PASSWORD, will=will
        )

    @asynccontextmanager
    async def collector(self, name: str = "collector") -> AsyncIterator[BatchLog]:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        with (
            BatchLog(folder / "batches.sqlite") as batch_log,
            PresenceLog(folder / "presence.sqlite") as presence_log,
        ):
            parts = CollectorDeps(
                connect=self.connect,
                batch_log=batch_log,
                store=self.store,
                targets={"one": Target("one", "tcp", "127.0.0.1", asn=64500, country="XX")},
                clock=now,
                config=AnalysisConfig(
                    bin=Duration(seconds=0.5), late_data_grace=Duration(seconds=0.5)
                ),
                metrics=self.metrics,
                signer=self.collector_key.signer,
                queue=self.queue,
                presence_log=presence_log,
                settle_time=self.settle_time,
                rate_advice=self.rate_advice,
                broker="b1",
                shared=self.shared,
            )
            async with running(run_collector(parts)):
                yield batch_log

    @asynccontextmanager
    async def agent_api(self) -> AsyncIterator[int]:
        """Serve the doors for agents; yields the port."""
        limits = SenderLimits(lambda *_: Standing.ENROLLED)
        async with serving(ingest_routes(self.queue, limits)) as port:
            yield port

    def endpoints(self, *urls: str, agent: str = "a1", ca_file: str = "") -> tuple[Endpoint, ...]:
        uplinks = tuple(
            UplinkConfig((url,), USERNAME, PASSWORD, ca_file if "s://" in url else "")
            for url in urls
        )
        base = Config()
        vantage = type(base.vantage)(id=agent, country="XX", asn=64501)
        return endpoints(
            type(base)(data=str(self.folder / "data"), uplink=uplinks, vantage=vantage),
            timeout=self.timeout,
        )

    def mqtt_endpoint(self, port: int, agent: str = "a1") -> tuple[Endpoint, ...]:
        """Return the way through a port to the broker, with the session of an agent."""

        def connect(will: Message | None) -> Transport:
            return MqttTransport(
                host="127.0.0.1",
                port=port,
                username=USERNAME,
                password=PASSWORD,
                session=MqttSession(agent, will_delay=self.will_delay),
                will=will,
                timeout=2,
            )

        return (Endpoint("mqtt", "", connect),)

    @contextmanager
    def spool(self, agent: str = "a1") -> Iterator[Spool]:
        identity = self.agents.setdefault(agent, Identity(Ed25519PrivateKey.generate()))
        path = self.folder / f"{agent}.sqlite"
        vantage = Vantage(agent, "XX", 64501)
        with Spool(path, vantage=vantage, created_at=now(), pack=identity.pack) as spool:
            yield spool

    @asynccontextmanager
    async def uplink(
        self, spool: Spool, endpoints: Sequence[Endpoint], agent: str = "a1"
    ) -> AsyncIterator[Uplink]:
        sign: Callable[[bytes], bytes] = partial(
            self.agents[agent].signer.sign, purpose=PRESENCE.purpose
        )
        with SingleThreadExecutor("test") as worker:
            session = await worker.run(start_session, agent, spool, now(), sign)
            uplink = Uplink(session, endpoints, spool=spool, executor=worker, pace=self.pace)
            self.workers[spool] = worker
            try:
                async with running(uplink.run()):
                    yield uplink
            finally:
                del self.workers[spool]

    async def measure(self, spool: Spool, batches: int = 1, rows: int = 1) -> list[int]:
        """Seal batches of measurements that no two share; returns their sequences.

        While an uplink runs, its thread alone may touch the spool.
        """
        if worker := self.workers.get(spool):
            return await worker.run(self.seal, spool, batches, rows)
        return self.seal(spool, batches, rows)

    def seal(self, spool: Spool, batches: int = 1, rows: int = 1) -> list[int]:
        """Do it in this thread, where no uplink runs."""
        for _ in range(batches):
            spool.append([self._row() for _ in range(rows)])
            spool.flush()
        return [one.sequence for one in reversed(spool.newest(batches))]

    def events(self, name: str = "collector") -> list[PresenceEvent]:
        with PresenceLog(self.folder / name / "presence.sqlite") as presence_log:
            return presence_log.events(now() - timedelta(hours=1), now() + timedelta(hours=1))

    def presence_changes(self) -> list[tuple[str, str]]:
        return [(one.state.value, one.vantage.id) for one in self.events()]

    def _row(self) -> Measurement:
        seconds = next(self.numbers) / 1000
        return Measurement("one", "tcp", now(), None, "", host_responded=True, seconds=seconds)


class Broker:
    """Mosquitto without persistence, which a test may kill and start again on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        passwords = folder / "passwords"
        program = need("mosquitto_passwd")
        subprocess.run([program, "-c", "-b", passwords, USERNAME, PASSWORD], check=True)
        user = "user root\n" if os.geteuid() == 0 else ""
        (folder / "broker.conf").write_text(
            f"{user}listener {self.port} 127.0.0.1\nallow_anonymous false\n"
            f"password_file {passwords}\npersistence false\n"
        )

    def start(self) -> None:
        """Listen; returns once it does."""
        log = (self._folder / "broker.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [need("mosquitto"), "-c", self._folder / "broker.conf"], stdout=log, stderr=log
            )
        wait_for_port(self.port, self._process)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it, without a word unless `number` lets it say some."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(10)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

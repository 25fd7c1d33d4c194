"""The whole line in one process: from a probe at a real server to a post that went out."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers import until

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.identity import load_or_create_identity
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.analysis.loop import run_analysis
from netwatch.analysis.pipeline import PipelineRunner
from netwatch.app.factories import make_entity_tree
from netwatch.app.observatory import make_pipeline
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.collector.trust_weights import TrustSettings
from netwatch.config import (
    AgentConfig,
    AnalysisConfig,
    Config,
    IncidentConfig,
    PublishConfig,
)
from netwatch.lab.drill.loopback_country import Country, make_country
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.duration import Duration
from netwatch.model.incident import Incident
from netwatch.model.measurement import Vantage
from netwatch.protocols import Message
from netwatch.publish.channels.file import FileChannel
from netwatch.publish.outbox import OutboxSender
from netwatch.store.memory import MemoryStore
from netwatch.wire.memory import MemoryBroker, MemoryTransport
from netwatch_probes.http import HttpProbe
from netwatch_probes.tcp import TcpProbe

WIDTH = Duration(seconds=0.5)
EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


def settings(country: Country) -> Config:
    """Return a configuration in which a day is half a second."""
    return Config(
        drill=True,
        agent=AgentConfig(
            period=WIDTH, timeout=Duration(seconds=0.3), flush_interval=Duration(seconds=0.1)
        ),
        analysis=AnalysisConfig(
            bin=WIDTH, late_data_grace=Duration(seconds=0.7), min_history=Duration(seconds=4)
        ),
        incidents=IncidentConfig(
            min_duration_country=Duration(seconds=1),
            min_duration_network=Duration(seconds=30),
            resolve_after=Duration(seconds=1),
        ),
        publish=PublishConfig(channels=("file",)),
        target=tuple(country.targets()),
        place=tuple(country.places()),
    )


@dataclass
class Line:
    """Every part, with the memory link and the memory store between them."""

    folder: Path
    config: Config
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.identity = load_or_create_identity(self.folder / "agent.key")
        self.tree = make_entity_tree(self.config)
        self.ledger = SqlLedger(ledger_url(self.folder / "ledger.sqlite"))

    def connect(self, will: Message | None) -> MemoryTransport:
        return MemoryTransport(self.broker, will=will)

    def agent(self, spool: Spool, vantage: Vantage) -> Coroutine[None, None, None]:
        return run_agent(
            AgentDeps(
                vantage=vantage,
                targets=self.config.target,
                probes={"tcp": TcpProbe(), "http": HttpProbe()},
                endpoints=[Endpoint("link", "", self.connect)],
                spool=spool,
                clock=DisciplinedClock(now, boot="ab" * 8, kernel=lambda: None),
                config=self.config.agent,
            )
        )

    def collector(self, batch_log: BatchLog) -> Coroutine[None, None, None]:
        return run_collector(
            CollectorDeps(
                connect=self.connect,
                batch_log=batch_log,
                store=self.store,
                targets={target.id: target for target in self.config.target},
                clock=now,
                config=self.config.analysis,
                trust=TrustSettings(own_keys=lambda: {self.identity.signer.public}),
            )
        )

    def analysis(self) -> Coroutine[None, None, None]:
        pipeline = make_pipeline(self.config, self.tree, width=WIDTH)
        analysis = PipelineRunner(pipeline, self.store, self.ledger, width=WIDTH)
        return run_analysis(analysis, pause=timedelta(milliseconds=50))

    def is_learned(self, country: Country) -> bool:
        return any(level.entity == country.entity for level in self.store.read_levels(*EVER))

    def national(self, country: Country) -> list[Incident]:
        incidents = self.ledger.incidents()
        return [
            one for one in incidents if one.entity == country.entity and one.evidence_level >= 2
        ]

    async def publish(self) -> None:
        channels = {"file": FileChannel(self.folder / "posts")}
        sender = OutboxSender(self.ledger.outbox, channels, now)
        while await sender.send_due():
            pass


@pytest.mark.timeout(60)
async def test_a_cut_country_and_its_return_are_published(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        country = await stack.enter_async_context(make_country(6))
        line = Line(tmp_path, settings(country))
        stack.callback(line.ledger.close)
        vantage = Vantage("agent-1", "ZZ", 65001)
        pack, path = line.identity.pack, tmp_path / "spool.sqlite"
        spool = stack.enter_context(Spool(path, vantage=vantage, created_at=now(), pack=pack))
        batch_log = stack.enter_context(BatchLog(tmp_path / "batches.sqlite"))
        # The observatory's own vantage: one that never enrolled may not confirm a loss alone.
        assert batch_log.pin({vantage.id: line.identity.signer.public}) == []
        parts = [line.collector(batch_log), line.agent(spool, vantage), line.analysis()]
        running = [asyncio.ensure_future(part) for part in parts]
        try:
            await until(lambda: line.is_learned(country), seconds=25)
            began = now()
            for network in country.networks[:5]:
                network.cut()
            await until(lambda: bool(line.national(country)), seconds=25)
            for network in country.networks[:5]:
                network.restore()
            await until(lambda: any(one.ended_at for one in line.national(country)), seconds=25)
        finally:
            for part in running:
                part.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
        assert {type(one) for one in ended} == {asyncio.CancelledError}
        [incident] = line.national(country)
        assert abs(incident.started_at - began) < timedelta(seconds=4)
        assert incident.trough.value < 30
        await line.publish()
        posts = [path.read_text("utf-8") for path in sorted((tmp_path / "posts").rglob("*.txt"))]
        assert len(posts) == len(line.ledger.outbox.posts(incident.id)) >= 2
        assert all("Testland" in text and text.startswith("TEST · ") for text in posts)
        kinds = [entry.post.kind for entry in line.ledger.outbox.posts(incident.id)]
        assert kinds[0].startswith("confirmed")
        assert "restored" in kinds

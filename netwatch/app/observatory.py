"""The observatory's parts, each put together from the configuration and run until cancelled."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from netwatch.agent.identity import load_or_create_identity
from netwatch.analysis.loop import run_analysis
from netwatch.analysis.pipeline import Pipeline, PipelineRunner
from netwatch.app.broker import broker_password, link_factory
from netwatch.app.clock import now
from netwatch.app.factories import (
    make_channels,
    make_entity_tree,
    open_ledger,
    open_store,
    write_places,
)
from netwatch.app.reloading_targets import ReloadingTargets
from netwatch.collector.batch_log import BATCH_LOG_FILE, BatchLog
from netwatch.collector.ingest_queue import IngestQueue
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.collector.metrics import CollectorMetrics
from netwatch.config import CollectorConfig, Config
from netwatch.detect.detector import BayesFilterDetector
from netwatch.incidents.tracker import Tracker
from netwatch.ledger.ledger import SqlLedger
from netwatch.model.entities import EntityTree
from netwatch.model.incident import Incident, Post
from netwatch.protocols import SeriesStore
from netwatch.publish.outbox import OutboxSender
from netwatch.publish.posts import compose_posts
from netwatch.signals.presence.disconnects import DisconnectEvidence, MassDisconnectDetector
from netwatch.signals.presence.log import PRESENCE_FILE, PresenceLog
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.rate_advice import RateAdvice

_UNLIMITED = 1e6
"""A rate that bounds nobody: agents have bounds of their own."""
_LOOKS = 4
"""Looks for closed bins in the time of one bin."""


@dataclass(frozen=True, slots=True)
class ObservatoryContext:
    """What the parts of one process share.

    Attributes:
        config: the configuration.
        atlas: its places.
        store, ledger: opened; `open_context` closes them.
        metrics: what the collector counts, where it runs in this process.
        gauges: the newest figures of the analysis, where it runs in this process.
        mailbox: what doors in this process bring to a collector in this process.
    """

    config: Config
    atlas: EntityTree
    store: SeriesStore
    ledger: SqlLedger
    metrics: CollectorMetrics = field(default_factory=CollectorMetrics)
    gauges: dict[str, float] = field(default_factory=dict)
    mailbox: IngestQueue = field(default_factory=IngestQueue)


@contextmanager
def open_context(config: Config) -> Iterator[ObservatoryContext]:
    """Open the store and the ledger that the configuration names, for as long as the context.

    Raises:
        StoreError: one of them cannot be opened.
    """
    atlas = make_entity_tree(config)
    write_places(Path(config.data), atlas)
    store = open_store(config)
    try:
        ledger = open_ledger(config)
        try:
            yield ObservatoryContext(config, atlas, store, ledger)
        finally:
            ledger.close()
    finally:
        store.close()


def make_pipeline(
    config: Config,
    atlas: EntityTree,
    *,
    width: timedelta,
    compose: Callable[[Incident], list[Post]],
    disconnects: Callable[[datetime], DisconnectEvidence] = lambda _: DisconnectEvidence(),
) -> Pipeline:
    """Return a pipeline for bins of `width` with the configuration's rules.

    `disconnects` returns evidence from agents that vanish together.
    """
    detector = BayesFilterDetector(atlas, width=width, min_history=config.analysis.min_history)
    tracker = Tracker(atlas, width=width, rules=config.incidents)
    return Pipeline(detector, tracker, compose, disconnects=disconnects)


def make_composer(config: Config, atlas: EntityTree) -> Callable[[Incident], list[Post]]:
    """Return what writes posts about a revision, in the configuration's languages."""

    def compose(incident: Incident) -> list[Post]:
        return compose_posts(incident, atlas, config.publish, test=config.drill)

    return compose


async def run_collect(opened: ObservatoryContext) -> None:
    """Receive, keep, acknowledge and count, until cancelled."""
    config = opened.config
    password = broker_password(config)
    identity = load_or_create_identity(Path(config.data) / "collector.key")
    with (
        BatchLog(Path(config.data) / BATCH_LOG_FILE) as batch_log,
        PresenceLog(Path(config.data) / PRESENCE_FILE) as presence_log,
    ):
        await run_collector(
            CollectorDeps(
                connect=link_factory(config.broker, password),
                batch_log=batch_log,
                store=opened.store,
                targets=ReloadingTargets(config),
                clock=now,
                config=config.analysis,
                metrics=opened.metrics,
                signer=identity.signer,
                queue=opened.mailbox,
                presence_log=presence_log,
                broker=f"{config.broker.host}:{config.broker.port}",
                rate_advice=_drain(config.collector),
                shared=config.collector.shared,
                open_weight=config.fleet.open_weight,
            )
        )


def _drain(config: CollectorConfig) -> RateAdvice | None:
    """Return what agents are told about how fast to send; None where nothing is configured."""
    if config == CollectorConfig(config.host, config.port, shared=config.shared):
        return None
    milliseconds = int(now().timestamp() * 1000)
    return RateAdvice(
        config.rate or _UNLIMITED, config.reconnect_spread.total_seconds(), milliseconds
    )


async def run_analyze(opened: ObservatoryContext) -> None:
    """Judge closed bins, follow incidents and write posts, until cancelled."""
    config, width = opened.config, opened.config.analysis.bin
    composer = make_composer(config, opened.atlas)
    with PresenceLog(Path(config.data) / PRESENCE_FILE) as presence_log:
        pipeline = make_pipeline(
            config,
            opened.atlas,
            width=width,
            compose=composer,
            disconnects=MassDisconnectDetector(presence_log, width=width),
        )
        analysis = await asyncio.to_thread(
            PipelineRunner, pipeline, opened.store, opened.ledger, width=width
        )
        await run_analysis(analysis, pause=width / _LOOKS, gauges=opened.gauges)


async def run_publish(opened: ObservatoryContext) -> None:
    """Send the posts of the outbox through the configured channels, until cancelled."""
    await OutboxSender(opened.ledger, make_channels(opened.config), now).run()


@asynccontextmanager
async def run_broker(config: Config) -> AsyncIterator[None]:
    """Keep the embedded broker up for as long as the context, if the configuration wants one."""
    if not config.broker.embedded:
        yield
        return
    users = {config.broker.username: broker_password(config)}
    async with EmbeddedBroker(users=users, port=config.broker.port):
        yield

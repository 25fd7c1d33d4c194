"""The observatory: its parts built from the configuration, and the processes that run them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from netwatch.agent.clock import boot_id
from netwatch.agent.identity import load_or_create_identity
from netwatch.aio.tasks import run_until_first_exits
from netwatch.analysis.loop import run_analysis
from netwatch.analysis.pipeline import Pipeline, PipelineRunner
from netwatch.app.dashboard_exporter import run_exporter
from netwatch.app.data_files import (
    BATCHES_FILE,
    DATABASES,
    LEDGER_FILE,
    PRESENCE_FILE,
    open_installation,
    secure_data_folder,
)
from netwatch.app.factories import (
    make_channels,
    make_entity_tree,
    open_ledger,
    open_store,
    write_places,
)
from netwatch.app.fleet_admin import (
    collector_identity,
    open_batch_log,
    own_keys,
    trust_settings,
)
from netwatch.app.health_metrics import HealthMetrics
from netwatch.app.http_agent_routes import agent_routes
from netwatch.app.http_server import listen, serve
from netwatch.app.target_list_publisher import ReloadingTargets, run_list_publisher
from netwatch.app.transports import broker_connector, broker_password, renew_damaged_password
from netwatch.app.vantage import run_vantage
from netwatch.app.vantage_files import key_path
from netwatch.app.wall_clock import now
from netwatch.collector.ingest_queue import IngestQueue
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.collector.metrics import CollectorMetrics
from netwatch.config import CollectorConfig, Config
from netwatch.detect.detector import BayesFilterDetector
from netwatch.incidents.tracker import Tracker
from netwatch.ledger.ledger import SqlLedger
from netwatch.model.addresses import is_loopback
from netwatch.model.entities import EntityTree
from netwatch.model.errors import ConfigError, StoreError
from netwatch.model.incident import Incident, Post
from netwatch.model.time import to_millis
from netwatch.protocols import Clock, DashboardStore, MaintainedStore, SeriesStore
from netwatch.publish.language import languages
from netwatch.publish.outbox import OutboxSender
from netwatch.publish.posts import compose_posts
from netwatch.signals.presence.disconnects import DisconnectEvidence
from netwatch.signals.presence.evidence import PresenceEvidence
from netwatch.signals.presence.log import PresenceLog
from netwatch.web.server import create_app
from netwatch.web.site_context import SiteContext
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.rate_advice import RateAdvice

_log = logging.getLogger(__name__)
_UNLIMITED = 1e6
"""Batches per second; above any agent's own limit."""
_POLLS_PER_BIN = 4
"""How often the analysis looks for closed bins during one bin."""
_MAINTENANCE_INTERVAL = 3600.0
"""Seconds between two runs of store maintenance; the widest rollup has bins of one hour."""


@dataclass(frozen=True, slots=True)
class ObservatoryContext:
    """What the parts of one process share.

    Attributes:
        config: the configuration.
        tree: its entities.
        store, ledger: open; `open_context` closes them.
        metrics: those of the collector; their registry has all metrics of the process.
        queue: messages from the HTTP API to the collector of this process.
    """

    config: Config
    tree: EntityTree
    store: SeriesStore
    ledger: SqlLedger
    metrics: CollectorMetrics
    queue: IngestQueue = field(default_factory=IngestQueue)

    def count_refusal(self, reason: str) -> None:
        """Count what the HTTP service refuses; log each reason at most once a minute."""
        counter = self.metrics.connections
        self.metrics.warn(counter, reason, "requests or connections are refused")


@contextmanager
def open_context(config: Config, *, clock: Clock = now) -> Iterator[ObservatoryContext]:
    """Open the configured store and ledger, and close them on exit; `clock` is that of health.

    Raises:
        ConfigError: a configured language has no templates.
    """
    if unknown := set(config.publish.languages) - languages():
        raise ConfigError(
            f"publish.languages: no templates for {', '.join(sorted(unknown))}; installed: "
            + ", ".join(sorted(languages()))
        )
    tree = make_entity_tree(config)
    secure_data_folder(Path(config.data))
    open_installation(config).examine(LEDGER_FILE)
    write_places(Path(config.data), tree)
    metrics = CollectorMetrics()
    with closing(open_store(config)) as store, closing(open_ledger(config)) as ledger:
        metrics.registry.register(HealthMetrics(config, store, ledger, clock=clock))
        yield ObservatoryContext(config, tree, store, ledger, metrics)


async def run_up(config: Config) -> None:
    """Run broker, collector, analysis, publisher, pages and one vantage until cancelled.

    Raises:
        NetwatchError: a part cannot start; the others are stopped.
    """
    with open_context(config) as context:
        async with run_broker(config, context.count_refusal):
            parts = [*_collector_parts(context), *_analysis_parts(context), run_pages(context)]
            if config.target:
                load_or_create_identity(key_path(config))
                parts.append(run_vantage(config))
            await run_until_first_exits(*parts)


async def run_collecting(config: Config) -> None:
    """Run the collector, and the embedded broker if it is configured."""
    with open_context(config) as context:
        async with run_broker(config, context.count_refusal):
            await run_until_first_exits(*_collector_parts(context), run_agent_api(context))


async def run_analyzing(config: Config) -> None:
    """Run the analysis and the publisher."""
    with open_context(config) as context:
        await run_until_first_exits(*_analysis_parts(context))


async def run_serving(config: Config) -> None:
    """Run the page server."""
    with open_context(config) as context:
        await run_pages(context)


def _collector_parts(context: ObservatoryContext) -> list[Coroutine[None, None, None]]:
    open_installation(context.config).examine(BATCHES_FILE)
    return [
        run_collect(context),
        run_maintenance(context),
        run_list_publisher(context.config),
    ]


def _analysis_parts(context: ObservatoryContext) -> list[Coroutine[None, None, None]]:
    parts = [run_analyze(context), run_publish(context)]
    if isinstance(context.store, DashboardStore):
        parts.append(run_exporter(context))
    return parts


async def run_collect(context: ObservatoryContext) -> None:
    """Receive, store, acknowledge and count batches, until cancelled."""
    config = context.config
    with (
        open_batch_log(config) as batch_log,
        open_installation(config).open_replaceable(
            PRESENCE_FILE, partial(PresenceLog, replace_at=now())
        ) as presence_log,
    ):
        if taken := batch_log.pin(own_keys(config)):
            _log.warning("another key holds the name of our vantage %s", ", ".join(taken))
        await run_collector(
            CollectorDeps(
                connect=broker_connector(config),
                batch_log=batch_log,
                store=context.store,
                targets=ReloadingTargets(config),
                clock=now,
                config=config.analysis,
                metrics=context.metrics,
                signer=collector_identity(config).signer,
                queue=context.queue,
                presence_log=presence_log,
                broker=f"{config.broker.host}:{config.broker.port}",
                rate_advice=_rate_advice(config.collector),
                shared=config.collector.shared,
                accept_unsigned=config.collector.unsigned,
                trust=trust_settings(config),
                own_boot=boot_id,
                amendments=context.ledger.amendments,
            )
        )


def _rate_advice(config: CollectorConfig) -> RateAdvice | None:
    default = CollectorConfig()
    if (config.rate, config.reconnect_spread) == (default.rate, default.reconnect_spread):
        return None
    spread = config.reconnect_spread.total_seconds()
    return RateAdvice(config.rate or _UNLIMITED, spread, to_millis(now()))


async def run_maintenance(context: ObservatoryContext) -> None:
    """Maintain the store and the record of files now and then every hour, until cancelled.

    Failures are logged.
    """
    while True:
        try:
            await asyncio.to_thread(_maintain, context)
        except StoreError as error:
            _log.warning("store maintenance failed: %s", error)
        await asyncio.sleep(_MAINTENANCE_INTERVAL)


def _maintain(context: ObservatoryContext) -> None:
    installation = open_installation(context.config)
    for name in DATABASES:
        if (Path(context.config.data) / name).exists():
            installation.mark(name)
    if isinstance(context.store, MaintainedStore):
        # What is old is dropped, so no time may come from a clock that is wrong.
        closed = context.store.closed_until()
        context.store.maintain(min(now(), closed or now()))


async def run_analyze(context: ObservatoryContext) -> None:
    """Analyse closed bins, track incidents and write posts, until cancelled."""
    config, width = context.config, context.config.analysis.bin
    with PresenceEvidence(Path(config.data) / PRESENCE_FILE, width=width) as evidence:
        pipeline = make_pipeline(config, context.tree, width=width, disconnects=evidence)
        runner = await asyncio.to_thread(
            PipelineRunner, pipeline, context.store, context.ledger, width=width
        )
        runner.clock = now
        await run_analysis(runner, pause=width / _POLLS_PER_BIN, registry=context.metrics.registry)


def make_pipeline(
    config: Config,
    tree: EntityTree,
    *,
    width: timedelta,
    disconnects: Callable[[datetime], DisconnectEvidence] = lambda _: DisconnectEvidence(),
) -> Pipeline:
    """Return a pipeline for bins of `width` with the configured rules, channels and languages.

    `disconnects` returns evidence from agents that vanish together.
    """
    detector = BayesFilterDetector(tree, width=width, min_history=config.analysis.min_history)
    tracker = Tracker(tree, width=width, config=config.incidents)

    def compose(incident: Incident) -> list[Post]:
        return compose_posts(incident, tree, config.publish, drill=config.drill)

    return Pipeline(detector, tracker, compose, disconnects=disconnects)


async def run_publish(context: ObservatoryContext) -> None:
    """Send the posts of the outbox through the configured channels, until cancelled."""
    await OutboxSender(context.ledger.outbox, make_channels(context.config), now).run()


async def run_pages(context: ObservatoryContext) -> None:
    """Serve the pages and the API for agents, until cancelled.

    On a loopback address, the metrics of the process are served too, at `/metrics`.
    """
    config = context.config
    routes = agent_routes(config, context.queue, count=context.count_refusal)
    if is_loopback(config.web.host):
        routes = (*routes, metrics_route(context.metrics.registry))
    site = SiteContext(
        context.store,
        context.ledger,
        context.tree,
        now,
        url=config.publish.url,
        drill=config.drill,
    )
    app = create_app(site, routes)
    listener = listen("web", config.web.host, config.web.port)
    await serve(app, listener, count=context.count_refusal)


def metrics_route(registry: CollectorRegistry) -> BaseRoute:
    """Return the route `/metrics` in the text format of Prometheus."""

    def endpoint(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Route("/metrics", endpoint)


async def run_agent_api(context: ObservatoryContext) -> None:
    """Serve the API for agents if `[collector]` names a port, until cancelled."""
    config = context.config.collector
    if not config.port:
        await asyncio.Event().wait()
    app = Starlette(routes=agent_routes(context.config, context.queue, count=context.count_refusal))
    listener = listen("collector", config.host, config.port)
    await serve(app, listener, count=context.count_refusal)


@asynccontextmanager
async def run_broker(
    config: Config, count: Callable[[str], None] = lambda _reason: None
) -> AsyncIterator[None]:
    """Run the embedded broker inside the context, if it is configured."""
    if not config.broker.embedded:
        yield
        return
    await asyncio.to_thread(renew_damaged_password, config)
    users = {config.broker.username: broker_password(config)}
    async with EmbeddedBroker(users=users, port=config.broker.port, count=count):
        yield

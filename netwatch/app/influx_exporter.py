"""Writes dashboard data other than bins and levels to InfluxDB, once a minute.

Incidents become annotations, entities become choices of a menu, and the health of the
observatory becomes points. All of it can be recreated from the ledger and the configuration.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.analysis.loop import INTERVAL_SECONDS
from netwatch.app.wall_clock import now
from netwatch.collector.batch_log import BATCH_LOG_FILE
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.collector.registry import Registry
from netwatch.config import Config
from netwatch.model.errors import NetwatchError
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.protocols import DashboardStore, OutboxState
from netwatch.publish.language import ENGLISH
from netwatch.signals.presence.log import PRESENCE_FILE, PresenceLog
from netwatch.store.influx.health_points import HealthPoint

if TYPE_CHECKING:
    from netwatch.app.observatory import ObservatoryContext

_log = logging.getLogger(__name__)
_INTERVAL = 60.0
"""Seconds between two exports, the shortest refresh of the dashboards."""
_UNSENT_STATES = [state for state in OutboxState if state is not OutboxState.SENT]
_UNKNOWN = "unknown"


async def run_exporter(context: "ObservatoryContext", *, interval: float = _INTERVAL) -> None:
    """Export every `interval` seconds, until cancelled.

    A failed export is repeated by the next one; the first failure of a run is logged.
    """
    exporter, failing = InfluxExporter(context), False
    while True:
        try:
            await asyncio.to_thread(exporter.export, now())
        except NetwatchError as error:
            if not failing:
                _log.warning("dashboards are not updated: %s", error)
            failing = True
        else:
            failing = False
        await asyncio.sleep(interval)


class InfluxExporter:
    """Writes what changed since its last successful export."""

    def __init__(self, context: "ObservatoryContext") -> None:
        assert isinstance(context.store, DashboardStore), "the caller checks it"
        self._context = context
        self._store: DashboardStore = context.store
        self._revisions: dict[str, int] = {}
        self._hour: datetime | None = None
        self._counts: Counter[str] = Counter()

    def export(self, at: datetime) -> None:
        """Write everything as of `at`."""
        ledger = self._context.ledger
        incidents = ledger.incidents()
        changed = [one for one in incidents if self._revisions.get(one.id) != one.revision]
        # Unconfirmed incidents are for operators, not for dashboards.
        history = [
            revision
            for incident in changed
            for revision in ledger.revisions(incident.id)
            if revision.confirmed_at is not None
        ]
        link = f"{self._context.config.publish.url.rstrip('/')}/i/"
        self._store.put_incidents(history, link=link, level_text=level_text)
        self._revisions.update((one.id, one.revision) for one in changed)
        hour = at.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._store.put_places(self._context.tree, at=hour)
            self._hour = hour
        counts = _collector_counts(self._context.metrics)
        self._store.put_health(self._health(at, incidents, counts))
        self._counts = counts

    def _health(
        self, at: datetime, incidents: list[Incident], counts: Counter[str]
    ) -> Iterator[HealthPoint]:
        """Yield the points; a count of zero is written as zero."""
        closed = self._context.store.closed_until()
        delay = None if closed is None else (at - closed).total_seconds()
        analysis = {
            "delay_seconds": delay,
            "detector_seconds": self._context.registry.get_sample_value(INTERVAL_SECONDS) or None,
            "pending": sum(one.state is IncidentState.PENDING for one in incidents),
        }
        yield HealthPoint("pipeline", at, analysis, {"stage": "analysis"})
        yield from fleet_health(self._context.config, at)
        if any(counts.values()):
            new = counts - self._counts
            collector = {
                "messages": new["batches"],
                "write_errors": new["errors"],
                "refused": new["refused"],
            }
            yield HealthPoint("pipeline", at, collector, {"stage": "collector"})
        yield from self._outbox_health(at)
        waiting = self._context.ledger.outbox.in_state(OutboxState.NEEDS_REVIEW)
        oldest = min((entry.changed_at for entry in waiting), default=at)
        review = {
            "waiting": len(waiting),
            "oldest_seconds": (at - oldest).total_seconds(),
            "onset_to_post_seconds": self._onset_to_post(incidents),
        }
        yield HealthPoint("review", at, review, {})

    def _outbox_health(self, at: datetime) -> Iterator[HealthPoint]:
        for state in _UNSENT_STATES:
            entries = self._context.ledger.outbox.in_state(state)
            for channel in self._context.config.publish.channels:
                since = [one.changed_at for one in entries if one.post.channel == channel]
                oldest = at - min(since, default=at)
                outbox = {"posts": len(since), "oldest_seconds": oldest / timedelta(seconds=1)}
                yield HealthPoint("outbox", at, outbox, {"channel": channel, "state": state})

    def _onset_to_post(self, incidents: list[Incident]) -> float | None:
        """Return seconds from onset to first post, of the newest incident that has one."""
        for incident in incidents:
            sent = [
                entry.changed_at
                for entry in self._context.ledger.outbox.posts(incident.id)
                if entry.state is OutboxState.SENT
            ]
            if sent:
                return (min(sent) - incident.started_at).total_seconds()
        return None


def fleet_health(config: Config, at: datetime) -> list[HealthPoint]:
    """Return vantages online and expected, by network and software version.

    A vantage is expected if it was online in the last weeks and did not sign off. No row names
    a vantage, and the store merges networks with few of them.
    """
    folder = Path(config.data)
    if not (folder / PRESENCE_FILE).exists():
        return []
    with (
        PresenceLog(folder / PRESENCE_FILE) as presence_log,
        Registry(folder / BATCH_LOG_FILE) as registry,
    ):
        sessions = [one for one in presence_log.sessions(at) if one.ending != "stop"]
        versions = {agent.name: agent.software for agent in registry.agents(at)}
    online: Counter[tuple[str, str]] = Counter()
    expected: Counter[tuple[str, str]] = Counter()
    for session in sessions:
        vantage = session.vantage
        key = str(vantage.asn or _UNKNOWN), versions.get(vantage.id) or _UNKNOWN
        expected[key] += 1
        online[key] += session.end is None
    return [
        HealthPoint(
            "fleet",
            at,
            {"online": online[asn, version], "enrolled": count, "networks": 1},
            {"asn": asn, "version": version},
        )
        for (asn, version), count in sorted(expected.items())
    ]


def _collector_counts(metrics: CollectorMetrics) -> Counter[str]:
    errors = by_label(metrics.errors)
    return Counter(
        batches=by_label(metrics.batches)["stored"],
        errors=errors["store"] + errors["batch_log"],
        refused=by_label(metrics.intervals)["refused"],
    )


def level_text(percent: PublishedPercent) -> str:
    """Return a percentage as dashboards show it."""
    if percent.precision is Precision.NONE:
        return "too few measurements to say"
    return ENGLISH.text("percent", percent)

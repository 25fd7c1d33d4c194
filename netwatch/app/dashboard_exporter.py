"""Writes dashboard data other than bins and levels to InfluxDB, once a minute.

Incidents become annotations, entities become choices of a menu, and the health of the
observatory becomes points. All of it can be recreated from the ledger and the configuration.
"""

import asyncio
import logging
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from netwatch.app.health_metrics import health_points
from netwatch.app.wall_clock import now
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.errors import NetwatchError
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.protocols import DashboardStore
from netwatch.publish.language import ENGLISH
from netwatch.store.influx.health_points import HealthPoint

if TYPE_CHECKING:
    from netwatch.app.observatory import ObservatoryContext

_log = logging.getLogger(__name__)
_INTERVAL = 60.0
"""Seconds between two exports, the shortest refresh of the dashboards."""


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
        points = health_points(self._context.metrics.registry, at)
        counts = _collector_counts(self._context.metrics)
        if any(counts.values()):
            # The collector runs in this process.
            new = {name: count - self._counts[name] for name, count in counts.items()}
            points.append(HealthPoint("pipeline", at, new, {"stage": "collector"}))
        self._store.put_health(points)
        self._counts = counts


def _collector_counts(metrics: CollectorMetrics) -> Counter[str]:
    errors = by_label(metrics.errors)
    return Counter(
        messages=by_label(metrics.batches)["stored"],
        write_errors=errors["store"] + errors["batch_log"],
        refused=by_label(metrics.intervals)["refused"],
    )


def level_text(percent: PublishedPercent) -> str:
    """Return a percentage as dashboards show it."""
    if percent.precision is Precision.NONE:
        return ENGLISH.text("too_few_measurements")
    return ENGLISH.text("percent", percent)

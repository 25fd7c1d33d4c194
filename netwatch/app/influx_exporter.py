"""What dashboards need besides bins and levels, written to InfluxDB once a minute.

Incidents become annotations, places become choices, and how we are doing becomes points.
All of it can be made again from the ledger and the configuration: nothing here is a record.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from netwatch.app.clock import now
from netwatch.app.fleet_health import fleet_health
from netwatch.app.observatory import ObservatoryContext
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.model.errors import NetwatchError
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.percent import Precision, PublishedPercent
from netwatch.protocols import OutboxState
from netwatch.publish.figure import figure
from netwatch.publish.language import ENGLISH
from netwatch.store.influx.health import Health, OutboxHealth, PipelineHealth, ReviewHealth
from netwatch.store.influx.store import InfluxStore

_LOG = logging.getLogger(__name__)
_PAUSE = 60.0
_WAITING = [state for state in OutboxState if state is not OutboxState.SENT]


async def run_mirror(opened: ObservatoryContext, *, pause: float = _PAUSE) -> None:
    """Write what dashboards need every `pause` seconds, until cancelled.

    Only InfluxDB is read by dashboards: with another store this ends at once. What cannot
    be written now is written next time; the first failure of a row of them is logged.
    """
    if not isinstance(opened.store, InfluxStore):
        return
    mirror, failing = Mirror(opened, opened.store), False
    while True:
        try:
            await asyncio.to_thread(mirror.write, now())
        except NetwatchError as error:
            if not failing:
                _LOG.warning("dashboards are behind: %s", error)
            failing = True
        else:
            failing = False
        await asyncio.sleep(pause)


def _collector_counts(metrics: CollectorMetrics) -> Counter[str]:
    """Return the counts of the collector that its points are made of."""
    errors = by_label(metrics.errors)
    return Counter(
        batches=by_label(metrics.batches)["stored"],
        errors=errors["store"] + errors["batch_log"],
        refused=by_label(metrics.intervals)["refused"],
    )


class Mirror:
    """Writes what is new since its last success."""

    def __init__(self, opened: ObservatoryContext, store: InfluxStore) -> None:
        self._opened = opened
        self._store = store
        self._revisions: dict[str, int] = {}
        self._hour: datetime | None = None
        self._counted: Counter[str] = Counter()

    def write(self, at: datetime) -> None:
        """Write everything as of `at`.

        Raises:
            StoreError: the store or the ledger cannot be used now.
        """
        incidents = self._opened.ledger.incidents()
        changed = [one for one in incidents if self._revisions.get(one.id) != one.revision]
        # What was never sure is for operators, and no statement on a dashboard.
        history = [
            row
            for one in changed
            for row in self._opened.ledger.revisions(one.id)
            if row.confirmed_at is not None
        ]
        link = f"{self._opened.config.publish.url.rstrip('/')}/i/"
        self._store.put_incidents(history, link=link, level_text=level_text)
        self._revisions.update((one.id, one.revision) for one in changed)
        hour = at.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._store.put_places(self._opened.atlas, at=hour)
            self._hour = hour
        counted = _collector_counts(self._opened.metrics)
        self._store.put_health(self._health(at, incidents, counted))
        self._counted = counted

    def _health(
        self, at: datetime, incidents: list[Incident], counted: Counter[str]
    ) -> Iterator[Health]:
        """Yield how we are doing; a count that is zero is said to be zero."""
        closed = self._store.closed_until()
        yield PipelineHealth(
            at,
            "analysis",
            delay_seconds=None if closed is None else (at - closed).total_seconds(),
            detector_seconds=self._opened.gauges.get("detector_seconds"),
            pending=sum(one.state is IncidentState.PENDING for one in incidents),
        )
        yield from fleet_health(self._opened.config, at)
        if any(counted.values()):
            fresh = counted - self._counted
            errors = fresh["errors"]
            yield PipelineHealth(
                at,
                "collector",
                fresh["batches"],
                write_errors=errors,
                refused=fresh["refused"],
            )
        yield from self._outbox(at)
        human = self._opened.ledger.in_state(OutboxState.NEEDS_REVIEW)
        oldest = min((entry.changed_at for entry in human), default=at)
        yield ReviewHealth(
            at,
            waiting=len(human),
            oldest_seconds=(at - oldest).total_seconds(),
            onset_to_post_seconds=self._onset_to_post(incidents),
        )

    def _outbox(self, at: datetime) -> Iterator[Health]:
        """Yield how many posts of each channel wait in each state, and for how long."""
        for state in _WAITING:
            entries = self._opened.ledger.in_state(state)
            for channel in self._opened.config.publish.channels:
                since = [one.changed_at for one in entries if one.post.channel == channel]
                oldest = at - min(since, default=at)
                yield OutboxHealth(at, channel, state, len(since), oldest / timedelta(seconds=1))

    def _onset_to_post(self, incidents: list[Incident]) -> float | None:
        """Return the seconds from onset to first post of the newest incident that has one."""
        for one in incidents:
            sent = [
                entry.changed_at
                for entry in self._opened.ledger.posts(one.id)
                if entry.state is OutboxState.SENT
            ]
            if sent:
                return (min(sent) - one.started_at).total_seconds()
        return None


def level_text(percent: PublishedPercent) -> str:
    """Return a percentage as dashboards show it."""
    if percent.precision is Precision.NONE:
        return "too few measurements to say"
    return ENGLISH.text("percent", figure(percent))

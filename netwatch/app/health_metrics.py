"""Gauges of the observatory's own health, read from its store, ledger and fleet when collected."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from netwatch.app.data_files import PRESENCE_FILE
from netwatch.app.fleet_admin import open_registry
from netwatch.config import Config
from netwatch.ledger.ledger import SqlLedger
from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.steady_clock import as_steady
from netwatch.protocols import Clock, DamageReport, OutboxState, SeriesStore
from netwatch.signals.presence.log import PresenceLog, Session
from netwatch.store.influx.health_points import HealthPoint, merge_small_networks
from netwatch.store.influx.schema import SCHEMA

_log = logging.getLogger(__name__)
_PREFIX = "netwatch_"
_UNSENT_STATES = [state for state in OutboxState if state is not OutboxState.SENT]
_UNKNOWN = "unknown"


class HealthMetrics(Collector):
    """Health of analysis, fleet, outbox and review, as gauges `netwatch_<measurement>_<field>`.

    Measurements, their fields and their labels are those of `netwatch.store.influx.schema`. An
    unknown value has no gauge; a count of zero is zero. No gauge names a vantage, and networks
    with few of them are merged.
    """

    def __init__(
        self, config: Config, store: SeriesStore, ledger: SqlLedger, *, clock: Clock
    ) -> None:
        self._config, self._store, self._ledger, self._clock = config, store, ledger, clock
        self._is_failing = False

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the gauges, without those of an unreadable file; the first failure is logged."""
        families: dict[str, GaugeMetricFamily] = {}
        points: list[HealthPoint] = []
        failures = list[str]()
        at = self._clock()
        parts = (self._analysis, partial(fleet_health, self._config), self._publishing)
        for part in parts:
            try:
                points += part(at)
            except StoreError as error:
                failures.append(str(error))
        for failure in () if self._is_failing else failures:
            _log.warning("health cannot be measured: %s", failure)
        self._is_failing = bool(failures)
        off = as_steady(self._clock).off_seconds
        yield GaugeMetricFamily(
            f"{_PREFIX}clock_off_seconds", "System clock, ahead of the steady one.", off
        )
        for point in merge_small_networks(points):
            for field, value in point.fields.items():
                name = f"{_PREFIX}{point.measurement}_{field}"
                family = families.setdefault(
                    name,
                    GaugeMetricFamily(
                        name, f"{point.measurement}: {field}", labels=list(point.tags)
                    ),
                )
                if value is not None:
                    family.add_metric(list(point.tags.values()), value)
        yield from families.values()
        days = self._store.damaged_days() if isinstance(self._store, DamageReport) else ()
        text = "Days whose data is missing because a file is damaged."
        yield GaugeMetricFamily(f"{_PREFIX}store_damaged_days", text, value=len(days))

    def _analysis(self, at: datetime) -> Iterator[HealthPoint]:
        incidents = self._ledger.incidents()
        closed = self._store.closed_until()
        analysis = {
            "delay_seconds": None if closed is None else (at - closed).total_seconds(),
            "provisional": sum(one.state is IncidentState.PROVISIONAL for one in incidents),
        }
        yield HealthPoint("pipeline", at, analysis, {"stage": "analysis"})

    def _publishing(self, at: datetime) -> Iterator[HealthPoint]:
        unsent = {state: self._ledger.outbox.in_state(state) for state in _UNSENT_STATES}
        for state, entries in unsent.items():
            for channel in self._config.publish.channels:
                since = [one.changed_at for one in entries if one.post.channel == channel]
                outbox = {"posts": len(since), "oldest_seconds": _oldest_seconds(at, since)}
                yield HealthPoint("outbox", at, outbox, {"channel": channel, "state": state})
        waiting = [entry.changed_at for entry in unsent[OutboxState.NEEDS_REVIEW]]
        review = {
            "waiting": len(waiting),
            "oldest_seconds": _oldest_seconds(at, waiting),
            "onset_to_post_seconds": self._onset_to_post(self._ledger.incidents()),
        }
        yield HealthPoint("review", at, review, {})

    def _onset_to_post(self, incidents: list[Incident]) -> float | None:
        """Return seconds from onset to first post, of the newest incident that has one."""
        for incident in incidents:
            sent = [
                entry.changed_at
                for entry in self._ledger.outbox.posts(incident.id)
                if entry.state is OutboxState.SENT
            ]
            if sent:
                return (min(sent) - incident.started_at).total_seconds()
        return None


def health_points(registry: CollectorRegistry, at: datetime) -> list[HealthPoint]:
    """Return the gauges of `registry` that have a field in the schema, as points of time `at`."""
    fields = defaultdict[tuple[str, tuple[tuple[str, str], ...]], dict[str, float | None]](dict)
    for metric in registry.collect():
        for sample in metric.samples:
            measurement, _, field = sample.name.removeprefix(_PREFIX).partition("_")
            if measurement in SCHEMA and field in SCHEMA[measurement].fields:
                fields[measurement, tuple(sample.labels.items())][field] = sample.value
    return [
        HealthPoint(measurement, at, values, dict(tags))
        for (measurement, tags), values in fields.items()
    ]


def fleet_health(config: Config, at: datetime) -> list[HealthPoint]:
    """Return vantages online and expected, by network and software version.

    A vantage is expected if it was online in the last weeks and did not sign off.
    """
    folder = Path(config.data)
    if not (folder / PRESENCE_FILE).exists():
        return []
    with (
        PresenceLog(folder / PRESENCE_FILE) as presence_log,
        open_registry(config) as registry,
    ):
        sessions = [one for one in presence_log.sessions(at) if one.ending != "stop"]
        versions = {agent.name: agent.software for agent in registry.agents(at)}

    def tags(session: Session) -> tuple[str, str]:
        vantage = session.vantage
        return str(vantage.asn or _UNKNOWN), versions.get(vantage.id) or _UNKNOWN

    expected = Counter(map(tags, sessions))
    online = Counter(tags(session) for session in sessions if session.end is None)
    return [
        HealthPoint(
            "fleet",
            at,
            {"online": online[asn, version], "enrolled": count, "networks": 1},
            {"asn": asn, "version": version},
        )
        for (asn, version), count in sorted(expected.items())
    ]


def _oldest_seconds(at: datetime, times: Iterable[datetime]) -> float:
    return (at - min(times, default=at)).total_seconds()

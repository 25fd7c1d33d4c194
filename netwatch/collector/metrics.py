"""Metrics of the collector's own health, and rate-limited warnings about what they count."""

import collections
import logging
from time import monotonic

from prometheus_client import CollectorRegistry, Counter

from netwatch.model.text import escape_line

_log = logging.getLogger("netwatch.collector")
_QUIET_SECONDS = 60.0
"""Minimum time between two log lines with the same metric and label."""


class CollectorMetrics:
    """Counters of one collector; each has one label.

    Attributes:
        batches: by `result`; see `netwatch.collector.agent_tables.IngestResult`, and `too_large`,
            `garbled`, `unsigned`, `wrong_sender`, `future`, `postponed` (see `admission.py`),
            `unread` (see `batch_log.py`).
        measurements: by `result`: `stored`, `too_old`, `unknown_target`.
        intervals: by `result`: `closed`, `recounted` (late data), `waiting` (late
            data beyond an agent's allowance, see `late_bins.py`), `refused` (by the store),
            `amended` (late measurements wait for a person).
        presence_messages: ignored ones, by `reason`: `garbled`, `wrong_key`, `outdated`.
        errors: by `component`: `store`, `batch_log`, `presence_log`, `presence_message`, `broker`.
        connections: refused requests and connections closed early, by `reason`; see
            `netwatch.app.http_connection`, `netwatch.app.request_checks`.
        alerts: by `kind`; see `netwatch.signals.operator_alerts`,
            `netwatch.collector.trust_keeper` and `clock` (a jump of our own clock, or a doubt
            about it).
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.batches = self._counter("batches", "Batches received.", "result")
        self.measurements = self._counter("measurements", "Measurements received.", "result")
        self.intervals = self._counter("intervals", "Intervals counted.", "result")
        self.presence_messages = self._counter(
            "presence_messages_ignored", "Presence messages ignored.", "reason"
        )
        self.errors = self._counter("collector_errors", "Failures of a component.", "component")
        self.connections = self._counter(
            "connections_refused", "HTTP requests and connections refused.", "reason"
        )
        self.alerts = self._counter("alerts", "Findings for the operator.", "kind")
        self._logged_at: dict[tuple[Counter, str], float] = {}

    def warn(self, counter: Counter, label: str, text: str, *, amount: int = 1) -> None:
        """Count, and log `text` at most once a minute for each counter and label."""
        counter.labels(label).inc(amount)
        now = monotonic()
        if now - self._logged_at.get((counter, label), -_QUIET_SECONDS) < _QUIET_SECONDS:
            return
        self._logged_at[counter, label] = now
        _log.warning("%s (%s: %d so far)", escape_line(text), label, by_label(counter)[label])

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], namespace="netwatch", registry=self.registry)


def by_label(counter: Counter) -> collections.Counter[str]:
    """Return the values of a counter with one label."""
    return collections.Counter(
        {
            next(iter(sample.labels.values())): int(sample.value)
            for metric in counter.collect()
            for sample in metric.samples
            if sample.name.endswith("_total")
        }
    )

"""Closes bins: counts an interval once its data is due, and again when late data arrives.

Counting twice, or again after a crash, gives the same bins: all comes from the batch log.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.metrics import CollectorMetrics
from netwatch.collector.newcomers import (
    COVERAGE,
    Voices,
    covered_places,
    divide,
    join,
    measured_places,
)
from netwatch.collector.trust_weights import (
    EarnedTrust,
    FirstSeen,
    Key,
    Reason,
    TrustSettings,
    earned_trust,
)
from netwatch.model.errors import InputError, StoreError
from netwatch.model.measurement import Target
from netwatch.model.series import Bin
from netwatch.model.time import floor_time
from netwatch.protocols import SeriesStore
from netwatch.signals.bins import build_bins
from netwatch.signals.operator_alerts import OperatorAlerts
from netwatch.signals.presence.log import WILL_LATENESS, PresenceLog, count_agents
from netwatch.storage.sqlite_file import UnavailableError

_SPAN = timedelta(minutes=15)
"""Time counted at once when there is a backlog."""
_MAX_LATE = 200
"""Late intervals counted in one call."""
_MAX_PLACES = 5
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
"""Places named in one line."""


class BinCloser:
    """Counts batches into the store; used by one thread at a time.

    Attributes:
        until: all bins before this are closed; None before the first.
        presence_log: counts the agents online; None counts none.
        trust: who counts in addition to enrolled agents.

    Raises:
        StoreError: from every method, if the batch log or the store cannot be used.
    """

    def __init__(
        self,
        batch_log: BatchLog,
        store: SeriesStore,
        *,
        targets: Mapping[str, Target],
        width: timedelta,
        metrics: CollectorMetrics,
    ) -> None:
        self.width = width
        self.until = store.closed_until()
        self.presence_log: PresenceLog | None = None
        self.trust = TrustSettings()
        self._batch_log = batch_log
        self._store = store
        self._targets = targets
        self._judged: tuple[list[FirstSeen], datetime] | None = None
        self._found: dict[Key, EarnedTrust] = {}
        self._places_day: datetime | None = None
        self._places: set[tuple[str, str]] = set()
        self._metrics = metrics
        self._alerts = OperatorAlerts(partial(metrics.warn, metrics.alerts))

    def close(self, bound: datetime) -> int:
        """Close every bin that ends by `bound`; return the number of intervals."""
        start = self.until
        if start is None:
            first = self._batch_log.first_time()
            if first is None:
                return 0
            start = floor_time(first, self.width)
        closed = 0
        end = floor_time(bound, self.width)
        while start < end:
            stop = min(start + max(_SPAN // self.width, 1) * self.width, end)
            self._write(start, stop, closed_until=stop)
            closed += (stop - start) // self.width
            self.until = start = stop
        self._metrics.intervals.labels("closed").inc(closed)
        return closed

    def reopen(self, bound: datetime) -> None:
        """Take back that bins after `bound` are closed; they are closed again in their time."""
        self.until = floor_time(bound, self.width)
        self._store.reopen(self.until)

    def recount_late(self) -> int:
        """Count closed bins with late data again; return the number of intervals."""
        late = self._batch_log.late_bins()[:_MAX_LATE]
        for time in late:
            self._write(time, time + self.width)
        if late:
            self._batch_log.clear_late(late)
            self._metrics.intervals.labels("recounted").inc(len(late))
        return len(late)

    def _write(
        self, start: datetime, end: datetime, *, closed_until: datetime | None = None
    ) -> None:
        try:
            bins = self._count(start, end)
            if closed_until is not None:
                # Late batches do not change the number of agents online.
                bins = [*self._agents_if_known(start, end), *bins]
            self._store.put_bins(bins, closed_until=closed_until)
        except InputError as error:
            self._metrics.warn(self._metrics.intervals, "refused", str(error))

    def _agents_if_known(self, start: datetime, end: datetime) -> list[Bin]:
        """Return the agents online; none if the presence log is damaged, which stops nothing."""
        try:
            return list(self._count_agents(start, end))
        except UnavailableError:
            raise
        except StoreError as error:
            self._metrics.warn(self._metrics.errors, "presence_log", str(error))
            return []

    def _count_agents(self, start: datetime, end: datetime) -> Iterator[Bin]:
        """Yield agents online, also in the intervals just before `start`: wills arrive late."""
        time = start + (-WILL_LATENESS // self.width) * self.width
        while self.presence_log is not None and time < end:
            yield from count_agents(self.presence_log, time, time + self.width)
            time += self.width

    def _count(self, start: datetime, end: datetime) -> list[Bin]:
        rows = list(self._batch_log.measurements(start, end))
        unknown = sum(row.target not in self._targets for _, row in rows)
        if unknown:
            self._metrics.measurements.labels("unknown_target").inc(unknown)
        seen = self._batch_log.first_seen(self.trust.own_keys())
        found = self._earned_trust(seen, end)
        self._record_places(measured_places(rows, self._targets), start)
        measured = self._batch_log.measured(start - COVERAGE, end)
        covered = covered_places(measured, found)
        established, newcomers = divide(rows, self._targets, found, covered=covered)
        self._warn_of_newcomers(found, newcomers)
        bins = self._build(established, self._alerts)
        return join(bins, self._build(newcomers, None if established.rows else self._alerts))

    def _earned_trust(self, seen: list[FirstSeen], at: datetime) -> dict[Key, EarnedTrust]:
        """Return the earned_trust of one hour, which are computed once."""
        hour = floor_time(at, _HOUR)
        if self._judged != (seen, hour):
            self._judged = seen, hour
            self._found = earned_trust(seen, hour, open_weight=self.trust.open_weight)
        return self._found

    def _record_places(self, measured: set[tuple[str, str]], at: datetime) -> None:
        """Record who measured what on one day, once a day."""
        day = floor_time(at, _DAY)
        if day != self._places_day:
            self._places_day, self._places = day, set()
        if new := measured - self._places:
            self._batch_log.record_places(new, day)
            self._places |= new

    def _build(self, voices: Voices, alerts: OperatorAlerts | None) -> list[Bin]:
        weights = voices.weights
        return build_bins(
            voices.rows, self._targets, width=self.width, weights=weights, alerts=alerts
        )

    def _warn_of_newcomers(self, found: Mapping[Key, EarnedTrust], newcomers: Voices) -> None:
        reasons = (Reason.CROWD, Reason.OPEN)
        waiting = {name for (name, _), one in found.items() if one.reason in reasons}
        if waiting:
            text = f"{len(waiting)} agents do not count; look at: netwatch agents list"
            self._metrics.warn(self._metrics.alerts, "untrusted_agents", text)
        places = sorted({place for _, place in measured_places(newcomers.rows, self._targets)})
        if places:
            text = f"only new agents measure {', '.join(places[:_MAX_PLACES])}: cannot be sure"
            self._metrics.warn(self._metrics.alerts, "only_newcomers", text)

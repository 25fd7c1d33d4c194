"""Closes bins: counts an interval once its data is due, and again when late data arrives.

Counting twice, or again after a crash, gives the same bins: all comes from the batch log.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.metrics import CollectorMetrics
from netwatch.collector.newcomers import WeightedRows, join
from netwatch.collector.review import AmendmentReview, LateSenders
from netwatch.collector.trust_keeper import TrustKeeper
from netwatch.model.amendment import Amendment
from netwatch.model.errors import InputError, StoreError
from netwatch.model.measurement import Target
from netwatch.model.series import Bin
from netwatch.model.time import floor_time
from netwatch.model.vantage_trust import OPEN_OWNER
from netwatch.protocols import SeriesStore
from netwatch.signals.bins import build_bins
from netwatch.signals.operator_alerts import OperatorAlerts
from netwatch.signals.presence.log import WILL_LATENESS, PresenceLog
from netwatch.signals.presence.online_counts import count_agents
from netwatch.storage.sqlite_file import UnavailableError

_SPAN = timedelta(minutes=15)
"""Time counted at once when there is a backlog."""
_MAX_LATE = 200
"""Late intervals counted in one call."""
_MAX_LATE_SECONDS = 0.5
"""Seconds after which a call counts no further one: batches wait meanwhile."""


class BinCloser:
    """Counts batches into the store; used by one thread at a time.

    Attributes:
        until: all bins before this are closed; None before the first.
        presence_log: counts the agents online; None counts none.
        review: keeps closed bins whose level would move; None writes every new count.

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
        self.review: AmendmentReview | None = None
        self._batch_log = batch_log
        self._store = store
        self._targets = targets
        self._keeper = TrustKeeper(batch_log, targets, width=width, metrics=metrics)
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
        if self.review is not None:
            self.review.reopen(self.until)

    def recount_late(self) -> int:
        """Count closed bins with late data again; return the number of intervals."""
        late = self._batch_log.late_bins()
        since = monotonic()
        for number, time in enumerate(late):
            if number == _MAX_LATE or monotonic() - since > _MAX_LATE_SECONDS:
                late = late[:number]
                break
            self._write(time, time + self.width)
        if self.review is not None:
            self.review.apply_accepted(
                lambda time: self._count(time, time + self.width, is_first=False),
                is_due=lambda: monotonic() - since <= _MAX_LATE_SECONDS,
                refuse=partial(self._metrics.warn, self._metrics.intervals, "refused"),
            )
        if late:
            self._batch_log.clear_late(late)
            self._metrics.intervals.labels("recounted").inc(len(late))
        return len(late)

    def _write(
        self, start: datetime, end: datetime, *, closed_until: datetime | None = None
    ) -> None:
        try:
            bins = self._count(start, end, is_first=closed_until is not None)
            if closed_until is not None:
                # Late batches do not change the number of agents online.
                bins = [*self._agents_if_known(start, end), *bins]
            if closed_until is None and self.review is not None:
                amended = self.review.write(start, bins, lambda: self._late_senders(start))
                self._warn_of_amendments(amended)
                return
            self._store.put_bins(bins, closed_until=closed_until)
        except InputError as error:
            self._metrics.warn(self._metrics.intervals, "refused", str(error))

    def _late_senders(self, time: datetime) -> LateSenders:
        """Return who sent late measurements of the bin at `time`; all of it if that is unknown."""
        late = self._batch_log.late_senders(time)
        rows = self._batch_log.measurements(time, time + self.width)
        vantages = {one for one, _ in rows if not late or one.id in late}
        seen = self._batch_log.first_seen(with_open=False)
        owners = {(one.name, one.country): one.owner for one in seen}
        return LateSenders(
            len({owners.get((one.id, one.country), OPEN_OWNER) for one in vantages}),
            len({(one.country, one.asn) for one in vantages}),
        )

    def _warn_of_amendments(self, amended: Sequence[Amendment]) -> None:
        for one in amended:
            text = (
                f"late measurements would move {one.series.entity} at {one.time:%Y-%m-%d %H:%M} UTC"
                f" from {one.then:.0%} to {one.now:.0%}; look at: netwatch amendments list"
            )
            self._metrics.warn(self._metrics.intervals, "amended", text)

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
        if self.presence_log is not None:
            self._keeper.publish_trust(self.presence_log.set_trust)
        time = start + (-WILL_LATENESS // self.width) * self.width
        while self.presence_log is not None and time < end:
            yield from count_agents(self.presence_log, time, time + self.width)
            time += self.width

    def _count(self, start: datetime, end: datetime, *, is_first: bool) -> list[Bin]:
        rows = list(self._batch_log.measurements(start, end))
        if unread := self._batch_log.unread:
            text = f"{unread} batches of {start:%Y-%m-%d %H:%M} UTC are too many of their agents"
            self._metrics.warn(self._metrics.batches, "unread", text, amount=unread)
        unknown = sum(row.target not in self._targets for _, row in rows)
        if unknown:
            self._metrics.measurements.labels("unknown_target").inc(unknown)
        established, newcomers = self._keeper.divide(rows, start, end)
        self._keeper.learn(rows, is_first=is_first)
        bins = self._build(established, self._alerts)
        return join(bins, self._build(newcomers, None if established.rows else self._alerts))

    def _build(self, counted: WeightedRows, alerts: OperatorAlerts | None) -> list[Bin]:
        weights = counted.weights
        return build_bins(
            counted.rows, self._targets, width=self.width, weights=weights, alerts=alerts
        )

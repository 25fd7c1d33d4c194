"""Closes bins: counts an interval once all that can be awaited is in, and again when late.

Everything is computed from the raw log, so doing it twice, or again after a crash at any
point, writes the same.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.metrics import CollectorMetrics
from netwatch.collector.trust_weights import trust_weights
from netwatch.model.errors import InputError
from netwatch.model.measurement import Target
from netwatch.model.series import Bin
from netwatch.model.time import floor_time
from netwatch.protocols import SeriesStore
from netwatch.signals.bins import Row, build_bins
from netwatch.signals.operator_alerts import OperatorAlerts
from netwatch.signals.presence.log import WILL_LATENESS

_STRETCH = timedelta(minutes=15)
"""How much is counted at once when there is much to catch up."""
_LATE_AT_ONCE = 200

Beside = Callable[[datetime, datetime], list[Bin]]
"""Returns the bins of one interval that are counted from something else than batches."""


def _nothing(_start: datetime, _end: datetime) -> list[Bin]:
    """Count nothing beside the batches."""
    return []


class BinCloser:
    """Brings counts from the inbox to the store; used by one thread at a time.

    Attributes:
        width: the width of a bin.
        until: all bins before this are closed; None before the first.
        beside: counts what does not come from batches; may tell of an interval again, up to
            `WILL_LATENESS` after it was closed, since wills come late.
        open_weight: how far agents are believed that never enrolled, 0 to 1.

    Raises:
        StoreError: from every method, when inbox or store cannot be read or written.
    """

    def __init__(
        self,
        inbox: BatchLog,
        store: SeriesStore,
        *,
        targets: Mapping[str, Target],
        width: timedelta,
        metrics: CollectorMetrics,
    ) -> None:
        self.width = width
        self.until = store.closed_until()
        self.beside: Beside = _nothing
        self.open_weight = 1.0
        self._inbox = inbox
        self._store = store
        self._targets = targets
        self._metrics = metrics
        self._alerts = OperatorAlerts(partial(metrics.warn, metrics.alerts))

    def close(self, bound: datetime) -> int:
        """Close every bin that ends by `bound`; return how many intervals were closed."""
        start = self.until
        if start is None:
            first = self._inbox.first_time()
            if first is None:
                return 0
            start = floor_time(first, self.width)
        closed = 0
        end = floor_time(bound, self.width)
        while start < end:
            stretch = max(_STRETCH // self.width, 1) * self.width
            stop = min(start + stretch, end)
            self._put(start, stop, closed_until=stop)
            closed += (stop - start) // self.width
            self.until = start = stop
        return closed

    def recount(self) -> int:
        """Count again the closed bins that got something new since; return how many."""
        late = self._inbox.late_bins()[:_LATE_AT_ONCE]
        for time in late:
            self._put(time, time + self.width)
        if late:
            self._inbox.settle_late(late)
            self._metrics.intervals.labels("recounted").inc(len(late))
        return len(late)

    def _put(self, start: datetime, end: datetime, *, closed_until: datetime | None = None) -> None:
        """Bring an interval to the store, which says what of it can never be kept."""
        try:
            bins = self._count(start, end)
            if closed_until is not None:
                # Late batches change nothing of what is counted beside them.
                bins = [*self._look_beside(start, end), *bins]
            self._store.put_bins(bins, closed_until=closed_until)
        except InputError as error:
            self._metrics.warn(self._metrics.intervals, "refused", str(error))

    def _look_beside(self, start: datetime, end: datetime) -> Iterator[Bin]:
        """Yield what is counted beside the batches, the intervals just before included."""
        time = start + (-WILL_LATENESS // self.width) * self.width
        while time < end:
            yield from self.beside(time, time + self.width)
            time += self.width

    def _count(self, start: datetime, end: datetime) -> list[Bin]:
        """Count what the inbox holds of an interval, broken vantages left out."""
        rows: list[Row] = []
        for vantage, measurement in self._inbox.measurements(start, end):
            if measurement.target not in self._targets:
                self._metrics.measurements.labels("unknown_target").inc()
            rows.append((vantage, measurement))
        weights = trust_weights(self._inbox.arrivals(), end, open_weight=self.open_weight)
        aside = {name for (name, _), weight in weights.items() if not weight}
        if aside:
            text = f"{len(aside)} agents do not count yet; look at: netwatch agents list"
            self._metrics.warn(self._metrics.alerts, "untrusted_agents", text)
        return build_bins(
            rows,
            self._targets,
            width=self.width,
            weights=weights,
            alerts=self._alerts,
        )

"""Keeps the collector's work within what its own clock is worth.

Bins are closed by the steady clock alone. While it is in doubt, none is closed. Bins that a wrong
clock has closed too early are opened again once the clock is confirmed, and then counted in
their time; what arrived for them meanwhile counts, too.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from netwatch.collector.batch_log import BatchLog
from netwatch.collector.fleet_time import FleetTime
from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.steady_clock import TOLERANCE, SteadyClock

_LISTEN_SECONDS = 10.0
"""Seconds between two looks at the agents' clocks."""
_KEPT_DRIFT = 0.1
"""Seconds that the line of the clock moves before it is stored again."""


class ClockGuard:
    """Watches one steady clock; used by one thread at a time.

    `own_boot` returns the id that an agent of this name would give to this machine's boot.

    Attributes:
        clock: the steady clock.
        fleet: the clocks of the agents.

    Raises:
        StoreError: from every method, if the batch log cannot be used.
    """

    def __init__(
        self,
        clock: SteadyClock,
        batch_log: BatchLog,
        *,
        own_boot: Callable[[str], str],
        metrics: CollectorMetrics,
    ) -> None:
        self.clock = clock
        self.fleet = FleetTime(clock.monotonic, own_boot)
        self._batch_log, self._metrics = batch_log, metrics
        self._boot = own_boot("")
        self._kept: float | None = None
        self._listened_at = 0.0
        self._jumps = 0

    def resume(self) -> None:
        """Continue the clock of the last process, if the machine has not been started since."""
        line = self._batch_log.clock_line(self._boot) if self._boot else None
        if line is not None:
            self.clock.resume(line)

    def bound(self, until: datetime | None, grace: timedelta) -> datetime | None:
        """Return the time up to which bins may be closed, None while the clock is in doubt.

        It lies before `until`, up to which they are closed already, if that must be taken back.
        """
        now = self.clock()
        self._listen()
        bound = now - grace
        is_future = until is not None and until > now + TOLERANCE
        is_held = is_future and not self.clock.is_confirmed
        self.clock.objection = (
            f"bins are closed until {until:%Y-%m-%d %H:%M} UTC, which is in the future"
            if is_held
            else ""
        )
        self._warn()
        if self.clock.in_doubt:
            return None
        return bound if is_future or until is None else max(bound, until)

    def _listen(self) -> None:
        now = self.clock.monotonic()
        if now - self._listened_at >= _LISTEN_SECONDS:
            self._listened_at = now
            self.clock.hear(self.fleet.line(self._batch_log.first_seen(with_open=False)))
        line = self.clock.line
        if self._boot and (self._kept is None or abs(line - self._kept) > _KEPT_DRIFT):
            self._batch_log.keep_clock_line(self._boot, line)
            self._kept = line

    def _warn(self) -> None:
        if self.clock.jumps > self._jumps or self.clock.in_doubt:
            self._jumps = self.clock.jumps
            text = (
                f"{self.clock.notice}; no bin is closed"
                if self.clock.in_doubt
                else self.clock.notice
            )
            self._metrics.warn(self._metrics.alerts, "clock", text)

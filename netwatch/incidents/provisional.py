"""Provisional incidents: what a passive signal says alone, and what nothing has confirmed yet.

A passive signal (routes, a telescope, traffic, agents) lies for long now and then, so that alone
it is never believed; yet nobody may be the last to hear of a collapse. Below half of ordinary,
surely and for two bins, it opens a provisional incident, which only operators see, unless an
active signal answers as usual: then people stay away, and no network does.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from statistics import median

from netwatch.incidents.excursion import Excursion, is_low
from netwatch.incidents.open_incident import OpenIncident
from netwatch.incidents.rules import Rules
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.incident import IncidentState, RevisionReason
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, signal_spec
from netwatch.model.thresholds import (
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    EVEN_PROBABILITY,
    LOW,
    RETURNED,
)

_SETTLED = 0.01


def answers_as_usual(signals: Mapping[str, Level], now: datetime) -> bool:
    """Return whether an active signal of an entity has data at `now` and shows no loss."""
    return any(
        name in signals
        and signals[name].time == now
        and (value := signals[name].value) is not None
        and (value >= LOW or signals[name].probability < EVEN_PROBABILITY)
        for name in ACTIVE_SIGNALS
    )


def is_steady(series: SeriesKey) -> bool:
    """Return whether a series is so steady that a partial loss of it says something alone."""
    return signal_spec(series.signal).steady and series.entity.kind is EntityKind.ASN


def is_suspect(watch: Excursion) -> bool:
    """Return whether a signal's excursion is enough for a provisional incident.

    Routes of a single network are steady, and a lasting loss of some of them is one; of any
    wider scope they say nothing before more than half of the visible space is gone.
    """
    if watch.sunk_bins >= CONFIRMING_BINS:
        return True
    level = watch.level
    return (
        is_steady(level.series)
        and is_low(level)
        and level.probability > CONFIRMED_PROBABILITY
        and watch.low_bins >= CONFIRMING_BINS
    )


class ProvisionalTracker:
    """The excursions of passive signals, each by itself; what is ordinary is not kept."""

    def __init__(self, watches: Mapping[SeriesKey, Excursion] | None = None) -> None:
        """Go on from `watches`."""
        self.watches: dict[SeriesKey, Excursion] = dict(watches or {})

    def see(self, levels: Iterable[Level], *, needed: set[SeriesKey], width: timedelta) -> None:
        """Take in the levels of one bin; forget the quiet ones that no case in `needed` follows."""
        for level in levels:
            if signal_spec(level.series.signal).trigger:
                continue
            watch = self.watches.get(level.series)
            if watch is None:
                if level.value is None or level.value >= LOW:
                    continue
                watch = self.watches[level.series] = Excursion(level)
            watch.see(level, width)
            quiet = watch.reduced_from is None and watch.under_from is None
            if quiet and level.series not in needed:
                del self.watches[level.series]

    def ripe(self, now: datetime) -> list[tuple[SeriesKey, Excursion]]:
        """Return the excursions whose newest bin, `now`, is enough for a provisional incident."""
        return [
            (key, watch)
            for key, watch in self.watches.items()
            if watch.level.time == now and is_suspect(watch)
        ]

    def of(self, signal: str) -> dict[Entity, Excursion]:
        """Return the excursions of one signal, by entity."""
        return {key.entity: one for key, one in self.watches.items() if key.signal == signal}


def next_pending(
    case: OpenIncident, watch: Excursion | None, now: datetime, rules: Rules, *, usual: bool
) -> RevisionReason | None:
    """Move a provisional `case` on by one bin; return why a revision must be written, if one must.

    Held for as long as its scope asks, it may be told as unconfirmed; back for
    `rules.reopen_window`, or contradicted by an active signal that answers as usual, it expires.

    Args:
        case: the provisional incident.
        watch: the excursion of the signal that opened it.
        now: the bin.
        rules: how long things are held.
        usual: whether an active signal answers as usual.
    """
    if watch is None or watch.level.time != now or watch.level.value is None:
        return None
    level, value = watch.level, watch.level.value
    if case.trough.value is None or value < case.trough.value:
        case.trough = level
    back = usual or value >= _back(case) or level.probability < EVEN_PROBABILITY
    case.back_from = (case.back_from or now) if back else None
    case.back = [*case.back, (now, value)] if back else []
    if case.back_from is not None and now - case.back_from >= rules.reopen_window:
        case.state, case.ended_at = IncidentState.EXPIRED, _end(case)
        return RevisionReason.EXPIRED
    held = level.time - case.started_at >= rules.min_duration(case.entity.kind)
    if case.evidence == 0 and not back and held:
        case.evidence = 1
        return RevisionReason.SUSTAINED
    return None


def _back(case: OpenIncident) -> float:
    """Return the level from which on a provisional loss counts as over: halfway up, or `RETURNED`.

    A loss of a fifth of a network's routes begins above what ends a collapse.
    """
    trough = case.trough.value or 0.0
    return max(RETURNED, (1 + trough) / 2)


def _end(case: OpenIncident) -> datetime:
    """Return the first bin of the return: of routes, the first from which they stay settled.

    Routes come back one by one, and are so steady that the last of them can be seen.
    """
    first, _ = case.back[0]
    if not signal_spec(case.lead).steady:
        return first
    settled = median(value for _, value in case.back[len(case.back) // 2 :]) - _SETTLED
    below = [number for number, (_, value) in enumerate(case.back) if value < settled]
    return case.back[min(below[-1] + 1 if below else 0, len(case.back) - 1)][0]


def provisional_case(name: str, watch: Excursion, now: datetime, width: timedelta) -> OpenIncident:
    """Return the case, called `name`, of a loss that is likely at the bin `now`."""
    sunk, onset = watch.lost_from, watch.lost_from or watch.under_from or watch.onset
    before = watch.half_at if sunk else None
    return OpenIncident(
        id=name,
        entity=watch.level.entity,
        started_at=onset,
        started_low=before or onset - width,
        started_high=sunk or watch.low_from or onset,
        provisional_at=now + width,
        confirmed_at=None,
        trough=watch.lowest or watch.level,
        told_at=now,
        told=watch.level,
        lead=watch.level.series.signal,
        state=IncidentState.PENDING,
        children={},
    )

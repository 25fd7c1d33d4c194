"""Provisional incidents: likely losses that are unconfirmed or shown by one passive signal alone.

A passive signal (routes, a telescope, traffic, agents) is sometimes wrong for days, so alone it
confirms nothing. Two bins whose whole interval is below half of ordinary open a provisional
incident, which only operators see, unless an active signal shows no loss: then demand has fallen.
"""

from collections.abc import Mapping
from datetime import datetime
from statistics import median

from netwatch.config import IncidentConfig
from netwatch.incidents.excursion import Excursion, deeper, is_low
from netwatch.incidents.lifecycle import newest_level
from netwatch.incidents.open_incident import OpenIncident
from netwatch.model.entities import EntityKind
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
"""Distance from the final level within which a steady signal has settled."""


def shows_no_loss(signals: Mapping[str, Level], now: datetime) -> bool:
    """Return whether an active signal of an entity has data at `now` and shows no loss."""
    return any(
        name in signals
        and signals[name].time == now
        and (value := signals[name].value) is not None
        and (value >= LOW or signals[name].probability < EVEN_PROBABILITY)
        for name in ACTIVE_SIGNALS
    )


def is_steady(series: SeriesKey) -> bool:
    """Return whether a partial loss of a series is significant by itself."""
    return signal_spec(series.signal).steady and series.entity.kind is EntityKind.ASN


def is_suspect(excursion: Excursion) -> bool:
    """Return whether an excursion opens a provisional incident.

    Routes of a single network are steady: a lasting partial loss is enough. Routes of a wider
    entity are not, until more than half of them are gone.
    """
    if excursion.below_half.bins >= CONFIRMING_BINS:
        return True
    level = excursion.level
    return (
        is_steady(level.series)
        and is_low(level)
        and level.probability > CONFIRMED_PROBABILITY
        and excursion.low.bins >= CONFIRMING_BINS
    )


def advance_provisional(
    incident: OpenIncident,
    excursion: Excursion | None,
    now: datetime,
    config: IncidentConfig,
    *,
    contradicted: bool,
) -> RevisionReason | None:
    """Advance a provisional incident by one bin; return the reason of a new revision, or None.

    After its minimum duration it may be published as unconfirmed. It expires once the level
    is back, or an active signal contradicts it, for `reopen_window`.
    """
    level = newest_level(excursion, now)
    if level is None:
        return None
    value = level.value or 0.0
    incident.trough = deeper(incident.trough, level)
    # A loss of a fifth of a network's routes starts above the level that ends a collapse.
    returned = max(RETURNED, (1 + (incident.trough.value or 0.0)) / 2)
    back = contradicted or value >= returned or level.probability < EVEN_PROBABILITY
    incident.recovery = [*incident.recovery, (now, value)] if back else []
    if back and now - incident.recovery[0][0] >= config.reopen_window:
        incident.state, incident.ended_at = IncidentState.EXPIRED, _recovered_at(incident)
        return RevisionReason.EXPIRED
    sustained = now - incident.started_at >= config.min_duration(incident.entity.kind)
    if incident.evidence_level == 0 and not back and sustained:
        incident.evidence_level = 1
        return RevisionReason.SUSTAINED
    return None


def _recovered_at(incident: OpenIncident) -> datetime:
    """Return the first bin of the return; of a steady signal, the first after which it settled."""
    recovery = incident.recovery
    if not signal_spec(incident.signal).steady:
        return recovery[0][0]
    settled = median(value for _, value in recovery[len(recovery) // 2 :]) - _SETTLED
    below = [index for index, (_, value) in enumerate(recovery) if value < settled]
    return recovery[min(below[-1] + 1 if below else 0, len(recovery) - 1)][0]

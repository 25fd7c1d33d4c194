"""Opens incidents: which excursions open one, its id and its first state."""

from collections.abc import MutableMapping
from datetime import datetime, timedelta

from netwatch.incidents.excursion import Excursion
from netwatch.incidents.open_incident import (
    OpenIncident,
    is_domain_series,
    origin_network,
    seen_from,
)
from netwatch.model.entities import EntityKind, EntityTree
from netwatch.model.incident import IncidentState
from netwatch.model.series import SeriesKey
from netwatch.model.thresholds import (
    CERTAIN_PROBABILITY,
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    LOST,
)

KIND_ORDER = tuple(EntityKind)
"""Kinds of entities from the widest to the narrowest."""
_COLLAPSE = 0.2
"""Level below which a certain loss need not last: a fifth of ordinary."""


def should_open(
    excursion: Excursion, min_duration: timedelta, width: timedelta, *, has_parent: bool = False
) -> bool:
    """Return whether an excursion is low, certain and long enough to open an incident.

    A collapse below a fifth of ordinary needs two bins, any other loss `min_duration`. If a wider
    entity is monitored (`has_parent`), a collapse may be the start of its loss and waits as well.
    """
    level = excursion.level
    if level.value is None or level.probability <= CONFIRMED_PROBABILITY:
        return False
    certain = level.probability > CERTAIN_PROBABILITY
    if certain and level.value < _COLLAPSE and excursion.lost_since and not has_parent:
        lost = level.time + width - excursion.lost_since
        if lost >= min(min_duration, CONFIRMING_BINS * width):
            return True
    min_bins = 1 if certain and level.value < LOST else CONFIRMING_BINS
    return excursion.low_bins >= min_bins and excursion.duration(width) >= min_duration


def confirmed_incident(
    series: SeriesKey, excursion: Excursion, now: datetime, *, incident_id: str, width: timedelta
) -> OpenIncident:
    """Return a confirmed incident that follows `series`."""
    onset = excursion.onset
    return OpenIncident(
        id=incident_id,
        entity=series.entity,
        started_at=onset,
        started_low=excursion.ordinary_at or onset - width,
        started_high=excursion.low_since or onset,
        provisional_at=excursion.provisional_at or now,
        confirmed_at=now + width,
        trough=excursion.lowest or excursion.level,
        published_at=now,
        published=excursion.level,
        signal=series.signal,
    )


def provisional_incident(
    excursion: Excursion, now: datetime, *, incident_id: str, width: timedelta
) -> OpenIncident:
    """Return a provisional incident of the series of `excursion`."""
    lost = excursion.lost_since
    started_low = excursion.half_at if lost else None
    onset = lost or excursion.below_since or excursion.onset
    return OpenIncident(
        id=incident_id,
        entity=excursion.level.entity,
        started_at=onset,
        started_low=started_low or onset - width,
        started_high=lost or excursion.low_since or onset,
        provisional_at=now + width,
        confirmed_at=None,
        trough=excursion.lowest or excursion.level,
        published_at=now,
        published=excursion.level,
        signal=excursion.level.series.signal,
        state=IncidentState.PENDING,
    )


def reopen(incident: OpenIncident, excursion: Excursion, now: datetime) -> None:
    """Return a resolved incident to `confirmed`."""
    incident.state, incident.ended_at = IncidentState.CONFIRMED, None
    incident.published_at, incident.published = now, excursion.level
    incident.recovering_since, incident.recovered_since = None, None
    incident.rising_bins = 0


def next_id(
    numbers: MutableMapping[str, int], key: SeriesKey, onset: datetime, tree: EntityTree
) -> str:
    """Return `NW-<country>-<year>-<number>` and count it in `numbers`; XX is no country."""
    code = tree.country_code(key.entity)
    if is_domain_series(key):
        code = seen_from(key.signal) if origin_network(key) is None else ""
    prefix = f"NW-{code or 'XX'}-{onset.year}"
    number = numbers[prefix] = numbers.get(prefix, 0) + 1
    return f"{prefix}-{number:04d}"


def breadth(key: SeriesKey) -> tuple[bool, int, bool, str, str]:
    """Return a sort key: domains, then entities, each from the widest to the narrowest."""
    kind = KIND_ORDER.index(key.entity.kind)
    network = origin_network(key) is not None
    return not is_domain_series(key), kind, network, key.signal, key.entity.code

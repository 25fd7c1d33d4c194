"""Opens incidents: which excursions open one, its id and its first state."""

from collections.abc import Mapping, MutableMapping
from datetime import datetime, timedelta

from netwatch.incidents.excursion import BinRun, Excursion, is_low
from netwatch.incidents.open_incident import (
    OpenIncident,
    is_domain_series,
    origin_network,
    seen_from,
)
from netwatch.model.entities import EntityKind, EntityTree
from netwatch.model.incident import IncidentState, RevisionReason
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, signal_spec
from netwatch.model.thresholds import (
    CERTAIN_PROBABILITY,
    CONFIRMED_PROBABILITY,
    CONFIRMING_BINS,
    EVEN_PROBABILITY,
    LOST,
    LOW,
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
    level, end = excursion.level, excursion.level.time + width
    if level.value is None or level.probability <= CONFIRMED_PROBABILITY:
        return False
    certain = level.probability > CERTAIN_PROBABILITY
    if certain and level.value < _COLLAPSE and not has_parent:
        needed = min(min_duration, CONFIRMING_BINS * width)
        if excursion.lost.length(end) >= needed:
            return True
    min_bins = 1 if certain and level.value < LOST else CONFIRMING_BINS
    return excursion.low.bins >= min_bins and excursion.low.length(end) >= min_duration


def is_suspect(excursion: Excursion) -> bool:
    """Return whether an excursion opens a provisional incident, which only operators see.

    A passive signal (routes, a telescope, traffic, agents) is sometimes wrong for days, so alone
    it confirms nothing. Two bins whose whole interval is below half of ordinary suffice here,
    unless an active signal shows no loss: then demand has fallen. Routes of a single network are
    steady: a lasting partial loss is enough.
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


def is_steady(series: SeriesKey) -> bool:
    """Return whether a partial loss of a series is significant by itself."""
    return signal_spec(series.signal).steady and series.entity.kind is EntityKind.ASN


def shows_no_loss(signals: Mapping[str, Level], now: datetime) -> bool:
    """Return whether an active signal of an entity has data at `now` and shows no loss."""
    return any(
        name in signals
        and signals[name].time == now
        and (value := signals[name].value) is not None
        and (value >= LOW or signals[name].probability < EVEN_PROBABILITY)
        for name in ACTIVE_SIGNALS
    )


def new_incident(
    series: SeriesKey, excursion: Excursion, now: datetime, *, width: timedelta, confirmed: bool
) -> OpenIncident:
    """Return an incident that follows `series`, confirmed or provisional, without an id.

    A confirmed loss starts where its level is first reduced; a provisional one, which a passive
    signal may show alone, where it is below half of ordinary.
    """
    low, first = excursion.low, excursion.reduced
    if not confirmed:
        first = excursion.lost if excursion.lost.since else excursion.below
    onset = first.since or excursion.onset
    likely_at = low.since + width if low.since else now
    return OpenIncident(
        entity=series.entity,
        started_at=onset,
        started_low=first.outside_at or onset - width,
        started_high=onset if first is excursion.lost else low.since or onset,
        provisional_at=likely_at if confirmed else now + width,
        confirmed_at=now + width if confirmed else None,
        trough=excursion.trough or excursion.level,
        published=excursion.level,
        signal=series.signal,
        state=IncidentState.CONFIRMED if confirmed else IncidentState.PROVISIONAL,
    )


def reopen(incident: OpenIncident, *, forecast: bool) -> RevisionReason:
    """Return a resolved incident to `confirmed`, and the reason of its next revision.

    The loss may be the one that was `forecast`.
    """
    incident.state, incident.ended_at = IncidentState.CONFIRMED, None
    incident.recovering, incident.recovered, incident.rising = BinRun(), BinRun(), BinRun()
    if not forecast:
        return RevisionReason.RELAPSED
    recurred, incident.is_recurring = incident.is_recurring, True
    return RevisionReason.RECURRED if recurred else RevisionReason.RECURRING


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

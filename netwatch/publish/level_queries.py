"""What the faces read from a store: the one signal that carries percentages, and who is there."""

from datetime import datetime, timedelta

from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.incident import Percent
from netwatch.model.percent import make_percent
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, signal_spec
from netwatch.protocols import SeriesStore

_LOOK_BACK = timedelta(hours=3)
_LISTED = (EntityKind.COUNTRY, EntityKind.REGION)


def lead_levels(store: SeriesStore, entity: Entity, start: datetime, end: datetime) -> list[Level]:
    """Return the levels of `entity`, `start <= time < end`, that percentages are read from.

    That is the first active signal with any level in between; other signals stand beside it
    and are never mixed in.
    """
    for signal in ACTIVE_SIGNALS:
        levels = list(store.read_levels(start, end, series=SeriesKey(signal, entity)))
        if levels:
            return levels
    return []


def newest_percent(level: Level) -> Percent | None:
    """Return `level` as a published percentage, None where it holds no data."""
    if level.value is None:
        return None
    low = level.value if level.low is None else level.low
    high = level.value if level.high is None else level.high
    return make_percent(level.value, low, high, networks=level.networks, coverage=level.coverage)


def has_bins(store: SeriesStore, entity: Entity, until: datetime) -> bool:
    """Tell whether anything was counted about `entity` in the hours before `until`."""
    keys = [SeriesKey(signal, entity) for signal in ACTIVE_SIGNALS]
    return any(
        next(iter(store.read_bins(until - _LOOK_BACK, until, series=key)), None) is not None
        for key in keys
    )


def seen_entities(store: SeriesStore, until: datetime) -> set[Entity]:
    """Return the entities that active signals counted in the hours before `until`."""
    columns = store.read_columns(until - _LOOK_BACK, until)
    return {key.entity for key in columns.keys if signal_spec(key.signal).active}


def listed_places(store: SeriesStore, places: EntityTree, until: datetime | None) -> list[Entity]:
    """Return countries, each followed by its regions: those described, else those seen."""
    known = {place.entity for place in places}
    if not any(entity.kind in _LISTED for entity in known) and until is not None:
        seen = seen_entities(store, until)
        # A country's own level is made from its parts: it has levels, but no bins.
        known = seen.union(*(places.ancestors(entity) for entity in seen))
    listed = [entity for entity in known if entity.kind in _LISTED]
    return sorted(listed, key=lambda entity: _place_order(entity, places))


def _place_order(entity: Entity, places: EntityTree) -> tuple[str, bool, str]:
    """Order by country name, the country first, then its regions by name."""
    country = places.country(entity) or entity
    is_region = entity.kind is EntityKind.REGION
    return (places.info(country).name, is_region, places.info(entity).name)

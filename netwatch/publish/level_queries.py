"""Queries to a store: the levels that percentages are read from, and the entities with data."""

from datetime import datetime, timedelta

from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.percent import PublishedPercent, make_percent
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import ACTIVE_SIGNALS, signal_spec
from netwatch.protocols import SeriesStore

_RECENT = timedelta(hours=3)
_LISTED = (EntityKind.COUNTRY, EntityKind.REGION)


def lead_levels(store: SeriesStore, entity: Entity, start: datetime, end: datetime) -> list[Level]:
    """Return the levels of the first active signal of `entity` that has any in `[start, end)`.

    Percentages are read from this signal alone; signals are never averaged.
    """
    for signal in ACTIVE_SIGNALS:
        levels = list(store.read_levels(start, end, series=SeriesKey(signal, entity)))
        if levels:
            return levels
    return []


def level_percent(level: Level) -> PublishedPercent | None:
    """Return `level` as a published percentage, None if it has no data."""
    if level.interval is None:
        return None
    return make_percent(*level.interval, networks=level.networks, coverage=level.coverage)


def has_bins(store: SeriesStore, entity: Entity, until: datetime) -> bool:
    """Return whether active signals of `entity` have bins in the 3 hours before `until`."""
    keys = [SeriesKey(signal, entity) for signal in ACTIVE_SIGNALS]
    return any(
        next(iter(store.read_bins(until - _RECENT, until, series=key)), None) is not None
        for key in keys
    )


def seen_entities(store: SeriesStore, until: datetime) -> set[Entity]:
    """Return the entities with bins of active signals in the 3 hours before `until`."""
    columns = store.read_columns(until - _RECENT, until)
    return {key.entity for key in columns.keys if signal_spec(key.signal).active}


def listed_places(store: SeriesStore, tree: EntityTree, until: datetime | None) -> list[Entity]:
    """Return countries, each followed by its regions: those in `tree`, otherwise those seen."""
    known = {info.entity for info in tree}
    if not any(entity.kind in _LISTED for entity in known) and until is not None:
        seen = seen_entities(store, until)
        # The level of a country is aggregated from its regions: it has levels, but no bins.
        known = seen.union(*(tree.ancestors(entity) for entity in seen))

    def by_country_then_name(entity: Entity) -> tuple[str, bool, str]:
        country = tree.country(entity) or entity
        is_region = entity.kind is EntityKind.REGION
        return (tree.info(country).name, is_region, tree.info(entity).name)

    return sorted((one for one in known if one.kind in _LISTED), key=by_country_then_name)

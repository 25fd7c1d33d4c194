"""State of a tracker between bins, as bytes and back."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from netwatch.incidents.episode_history import EpisodeHistory
from netwatch.incidents.excursion import Excursion
from netwatch.incidents.open_incident import OpenIncident
from netwatch.incidents.provisional import SeriesExcursions
from netwatch.model.entities import Entity
from netwatch.model.errors import StoreError
from netwatch.model.series import Level

_VERSION = 3


@dataclass(slots=True)
class TrackerState:
    """State of a tracker.

    Attributes:
        excursions: the excursion of each entity's leading signal.
        series: the excursions of single series.
        signals: newest level of every signal of an entity.
        episodes: past losses of each entity.
        incidents: incidents that may still change.
        numbers: how many incidents have an id with each prefix.
        unresponsive: entities that never answered.
    """

    excursions: dict[Entity, Excursion] = field(default_factory=dict)
    series: SeriesExcursions = field(default_factory=SeriesExcursions)
    signals: dict[Entity, dict[str, Level]] = field(default_factory=dict)
    episodes: dict[Entity, EpisodeHistory] = field(default_factory=dict)
    incidents: list[OpenIncident] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    unresponsive: set[Entity] = field(default_factory=set)


class _Saved(msgspec.Struct):
    version: int
    excursions: dict[str, Excursion]
    series: list[Excursion]
    signals: dict[str, list[Level]]
    episodes: dict[str, EpisodeHistory]
    incidents: list[OpenIncident]
    numbers: dict[str, int]
    unresponsive: list[str]


def pack_tracker_state(state: TrackerState) -> bytes:
    """Return `state` as bytes."""
    saved = _Saved(
        version=_VERSION,
        excursions={str(entity): one for entity, one in state.excursions.items()},
        series=list(state.series.by_series.values()),
        signals={
            str(entity): levels for entity in state.signals if (levels := _levels(state, entity))
        },
        episodes={str(entity): one for entity, one in state.episodes.items()},
        incidents=state.incidents,
        numbers=state.numbers,
        unresponsive=sorted(map(str, state.unresponsive)),
    )
    return msgspec.msgpack.encode(saved)


def unpack_tracker_state(packed: bytes) -> TrackerState:
    """Return the state that `pack_tracker_state` packed.

    Raises:
        StoreError: it is damaged or of another version.
    """
    try:
        saved = msgspec.msgpack.decode(packed, type=_Saved)
    except msgspec.DecodeError as error:
        raise StoreError(f"checkpoint: damaged: {error}") from error
    if saved.version != _VERSION:
        raise StoreError(f"checkpoint: version {saved.version}, want {_VERSION}")
    excursions = {Entity.parse(name): one for name, one in saved.excursions.items()}
    signals = {entity: _by_signal([one.level]) for entity, one in excursions.items()}
    for name, levels in saved.signals.items():
        signals.setdefault(Entity.parse(name), {}).update(_by_signal(levels))
    return TrackerState(
        excursions=excursions,
        series=SeriesExcursions(saved.series),
        signals=signals,
        episodes={Entity.parse(name): one for name, one in saved.episodes.items()},
        incidents=saved.incidents,
        numbers=saved.numbers,
        unresponsive=set(map(Entity.parse, saved.unresponsive)),
    )


def _levels(state: TrackerState, entity: Entity) -> list[Level]:
    """Return the newest levels of an entity that its excursion does not hold already."""
    excursion = state.excursions.get(entity)
    own = excursion.level if excursion else None
    return [level for level in state.signals[entity].values() if level != own]


def _by_signal(levels: Iterable[Level]) -> dict[str, Level]:
    return {level.series.signal: level for level in levels}

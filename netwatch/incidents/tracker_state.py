"""What a tracker remembers between bins, as bytes and back."""

from dataclasses import dataclass

import msgspec

from netwatch.incidents.episodes import EpisodeHistory
from netwatch.incidents.excursion import Excursion
from netwatch.incidents.open_incident import OpenIncident
from netwatch.model.entities import Entity
from netwatch.model.errors import StoreError
from netwatch.model.series import Level, SeriesKey


@dataclass(frozen=True, slots=True)
class TrackerState:
    """What a tracker remembers.

    Attributes:
        watches: the present excursion of each entity.
        signals: newest level of every signal of an entity.
        logs: the losses of each entity.
        cases: incidents that may go on.
        numbers: how many incidents were named with each prefix.
        suspicions: the excursions of single passive signals.
        dead: what never answers.
        paths, path_cases: the excursions and incidents of ways to sites.
    """

    watches: dict[Entity, Excursion]
    signals: dict[Entity, dict[str, Level]]
    logs: dict[Entity, EpisodeHistory]
    cases: list[OpenIncident]
    numbers: dict[str, int]
    suspicions: dict[SeriesKey, Excursion]
    dead: set[Entity]
    paths: dict[SeriesKey, Excursion]
    path_cases: list[OpenIncident]


class _Saved(msgspec.Struct):
    """The same in types that have an encoding."""

    watches: dict[str, Excursion]
    signals: dict[str, list[Level]]
    logs: dict[str, EpisodeHistory]
    cases: list[OpenIncident]
    numbers: dict[str, int]
    suspicions: list[Excursion] = []
    dead: list[str] = []
    paths: list[Excursion] = []
    path_cases: list[OpenIncident] = []


def pack_tracker_state(memory: TrackerState) -> bytes:
    """Return `memory` as bytes."""
    saved = _Saved(
        watches={str(entity): watch for entity, watch in memory.watches.items()},
        signals={
            str(entity): others for entity in memory.signals if (others := _beside(memory, entity))
        },
        logs={str(entity): log for entity, log in memory.logs.items()},
        cases=memory.cases,
        numbers=memory.numbers,
        suspicions=list(memory.suspicions.values()),
        dead=sorted(str(entity) for entity in memory.dead),
        paths=list(memory.paths.values()),
        path_cases=memory.path_cases,
    )
    return msgspec.msgpack.encode(saved)


def unpack_tracker_state(state: bytes) -> TrackerState:
    """Return what `pack_tracker_state` packed.

    Raises:
        StoreError: it is damaged or of another version.
    """
    try:
        saved = msgspec.msgpack.decode(state, type=_Saved)
    except msgspec.DecodeError as error:
        raise StoreError(f"checkpoint: damaged: {error}") from error
    watches = {Entity.parse(text): watch for text, watch in saved.watches.items()}
    signals = {
        entity: {watch.level.series.signal: watch.level} for entity, watch in watches.items()
    }
    for text, levels in saved.signals.items():
        known = signals.setdefault(Entity.parse(text), {})
        known.update({level.series.signal: level for level in levels})
    return TrackerState(
        watches=watches,
        signals=signals,
        logs={Entity.parse(text): log for text, log in saved.logs.items()},
        cases=saved.cases,
        numbers=saved.numbers,
        suspicions={one.level.series: one for one in saved.suspicions},
        dead={Entity.parse(text) for text in saved.dead},
        paths={one.level.series: one for one in saved.paths},
        path_cases=saved.path_cases,
    )


def _beside(memory: TrackerState, entity: Entity) -> list[Level]:
    """Return the newest levels of an entity that its watch does not hold already."""
    watch = memory.watches.get(entity)
    held = watch.level if watch else None
    return [level for level in memory.signals[entity].values() if level != held]

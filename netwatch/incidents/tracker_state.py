"""State of a tracker between bins; msgspec encodes it as it is."""

from collections.abc import Iterable

import msgspec

from netwatch.incidents.episode_history import EpisodeHistory
from netwatch.incidents.excursion import Excursion
from netwatch.incidents.open_incident import OpenIncident, is_domain_series, origin_network
from netwatch.model.entities import Entity
from netwatch.model.errors import StoreError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.incident import OUTAGE
from netwatch.model.series import Level, SeriesKey
from netwatch.model.signals import signal_spec
from netwatch.model.thresholds import LOW

_VERSION = 4
_DAMAGED = "checkpoint: damaged"


class SeriesExcursions(msgspec.Struct):
    """Excursions of series that do not lead an entity: passive signals, and domains by origin.

    Ordinary ones are dropped, as there are many.
    """

    by_series: dict[SeriesKey, Excursion] = {}

    def observe(self, levels: Iterable[Level], *, needed: set[SeriesKey]) -> None:
        """Add the levels of one bin; drop quiet excursions other than those of `needed`."""
        for level in levels:
            if signal_spec(level.series.signal).trigger:
                continue
            excursion = self.by_series.get(level.series)
            if excursion is None:
                if level.value is None or level.value >= LOW:
                    continue
                excursion = self.by_series[level.series] = Excursion(level)
            excursion.observe(level)
            if excursion.is_quiet and level.series not in needed:
                del self.by_series[level.series]

    def domains(self) -> dict[SeriesKey, Excursion]:
        """Return the excursions of domains seen from one country or network."""
        return {key: one for key, one in self.by_series.items() if is_domain_series(key)}

    def related(self, series: SeriesKey) -> dict[Entity, Excursion]:
        """Return, by entity, the excursions that describe an incident of `series`.

        Of a passive signal: those of the same signal. Of a domain seen from a country: its
        own, and those from networks by network.
        """
        kind = signal_spec(series.signal).incident_kind
        if kind == OUTAGE:
            return {
                key.entity: one
                for key, one in self.by_series.items()
                if key.signal == series.signal
            }
        related = {
            network: one
            for key, one in self.by_series.items()
            if key.entity == series.entity
            and signal_spec(key.signal).incident_kind == kind
            and (network := origin_network(key)) is not None
            and origin_network(series) is None
        }
        own = self.by_series.get(series)
        return related if own is None else related | {series.entity: own}


class _AnyVersion(msgspec.Struct):
    version: int


class TrackerState(msgspec.Struct):
    """State of a tracker.

    Attributes:
        version: version of its layout.
        excursions: the excursion of each entity's leading signal.
        series: the excursions of single series.
        signals: newest level of every signal of an entity.
        episodes: past losses of each entity.
        incidents: incidents that may still change.
        numbers: how many incidents have an id with each prefix.
        unresponsive: entities that never answered, as keys: a set has no order to encode.
    """

    version: int = _VERSION
    excursions: dict[Entity, Excursion] = {}
    series: SeriesExcursions = msgspec.field(default_factory=SeriesExcursions)
    signals: dict[Entity, dict[str, Level]] = {}
    episodes: dict[Entity, EpisodeHistory] = {}
    incidents: list[OpenIncident] = []
    numbers: dict[str, int] = {}
    unresponsive: dict[Entity, None] = {}


def unpack_tracker_state(packed: bytes) -> TrackerState:
    """Return the state that msgspec encoded as MessagePack.

    Raises:
        StoreError: it is damaged or of another version.
    """
    decoder = msgspec.msgpack.Decoder(_AnyVersion).decode
    version = decode_foreign(packed, decoder, what=_DAMAGED, kind=StoreError).version
    if version != _VERSION:
        raise StoreError(f"checkpoint: version {version}, want {_VERSION}")
    whole = msgspec.msgpack.Decoder(TrackerState).decode
    return decode_foreign(packed, whole, what=_DAMAGED, kind=StoreError)

"""One TOML file becomes frozen structs; whatever is wrong is one line that names the place."""

import re
import tomllib
from dataclasses import fields
from datetime import timedelta
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from netwatch.model.entities import Entity, EntityInfo, EntityKind
from netwatch.model.errors import ConfigError, InputError
from netwatch.model.measurement import Target

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_POSITIVE = (
    ("agent", "period"),
    ("agent", "timeout"),
    ("analysis", "bin"),
    ("incidents", "milestone"),
    ("store", "patience"),
)
_LONGEST = 10 * 366 * 86400
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")


class Duration(timedelta):
    """A length of time, written `500ms`, `30s`, `5m`, `12h`, `2d` or `8w`."""

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Return the duration that `text` says.

        Raises:
            ValueError: not a number with one of the units.
        """
        match = _DURATION.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no duration; write 30s, 5m, 12h, 2d or 8w")
        seconds = float(match[1]) * _UNITS[match[2]]
        if seconds > _LONGEST:
            raise ValueError(f"{text!r} is too long a duration; ten years are the most")
        return cls(seconds=seconds)


Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Weight = Annotated[float, msgspec.Meta(ge=0)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every table in the file."""


class BrokerConfig(_Section, frozen=True):
    """`[broker]`: where MQTT is. Embedded means started in-process by `netwatch up`."""

    embedded: bool = True
    host: str = "127.0.0.1"
    port: Port = 1883
    username: str = "netwatch"
    password: str = ""
    tls: bool = False


class UplinkConfig(_Section, frozen=True):
    """`[[uplink]]`: one way from an agent to its observatory; better ones stand first."""

    urls: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    username: str = ""
    password: str = ""
    authority: str = ""
    alpn: str = ""


class CollectorConfig(_Section, frozen=True):
    """`[collector]`: where it takes batches over HTTP, and how fast agents may send."""

    host: str = "127.0.0.1"
    port: Port = 0
    rate: Weight = 0.0
    spread: Duration = Duration(seconds=60)
    shared: bool = False


class VantageConfig(_Section, frozen=True):
    """`[vantage]`: what is told about the place that this agent measures from."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "local"
    country: Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{2})?$")] = ""
    asn: Annotated[int, msgspec.Meta(ge=0, le=4294967295)] = 0


class AgentConfig(_Section, frozen=True):
    """`[agent]`: how often and how patiently targets are probed."""

    period: Duration = Duration(minutes=5)
    timeout: Duration = Duration(seconds=10)
    concurrency: Count = 64
    seal: Duration = Duration(seconds=10)
    spool_bytes: Count = 64 * 1024 * 1024
    witness_period: Duration = Duration(seconds=30)
    budget: Literal["low", "standard", "full"] = "standard"
    quiet_hours: str = ""
    burst: bool = False


class FleetConfig(_Section, frozen=True):
    """`[fleet]`: how an observatory takes in volunteers' agents."""

    url: str = ""
    brokers: tuple[str, ...] = ()
    open_weight: Annotated[float, msgspec.Meta(ge=0, le=1)] = 1.0


class StoreConfig(_Section, frozen=True):
    """`[store]`: which engine keeps the series; all but `engine` is for `influx` alone.

    On InfluxDB 2 `database` is the bucket; on 2 and 3 `password` is the API token. A
    password that begins with `$` names an environment variable. `authority` is a file
    with the certificates that TLS trusts, where the usual ones do not do.
    """

    engine: str = "sqlite"
    url: str = "http://127.0.0.1:8086"
    database: str = "netwatch"
    username: str = "netwatch"
    password: str = ""
    organization: str = ""
    authority: str = ""
    patience: Duration = Duration(seconds=5)
    hourly: str = ""
    raw: Duration = Duration(days=14)
    five_minutes: Duration = Duration(days=731)


class AnalysisConfig(_Section, frozen=True):
    """`[analysis]`: bin width, how long late data is awaited, how much history is needed."""

    bin: Duration = Duration(minutes=5)
    grace: Duration = Duration(seconds=30)
    least_history: Duration = Duration(days=2)


class IncidentConfig(_Section, frozen=True):
    """`[incidents]`: how long a loss is held before it counts, and what counts as its end."""

    hold_country: Duration = Duration(minutes=20)
    hold_network: Duration = Duration(minutes=30)
    group: Duration = Duration(hours=6)
    stable: Duration = Duration(hours=6)
    reopen: Duration = Duration(hours=2)
    milestone: Duration = Duration(hours=1)
    update_every: Duration = Duration(hours=1)

    def hold(self, kind: EntityKind) -> timedelta:
        """Return how long a scope of `kind` must be low before it is an incident."""
        return self.hold_country if kind is EntityKind.COUNTRY else self.hold_network


class PublishConfig(_Section, frozen=True):
    """`[publish]`: where posts go, in which languages, and whether a machine may post alone."""

    channels: tuple[str, ...] = ("console", "file")
    languages: tuple[str, ...] = ("en",)
    url: str = "http://127.0.0.1:8080"
    automatic: bool = False
    webhook: str = ""
    topic: str = "netwatch/v1/alerts"


class WebConfig(_Section, frozen=True):
    """`[web]`: where the page is served."""

    host: str = "127.0.0.1"
    port: Port = 8080


class PlaceConfig(_Section, frozen=True):
    """`[[place]]`: name, parent and weight of an entity."""

    entity: str
    name: str
    parent: str = ""
    weight: Weight = 1.0
    zone: str = ""


class Config(_Section, frozen=True):
    """The whole file. Every table and key may be left out; `data` is where files are kept."""

    data: str = "data"
    test: bool = False
    broker: BrokerConfig = BrokerConfig()
    uplink: tuple[UplinkConfig, ...] = ()
    collector: CollectorConfig = CollectorConfig()
    vantage: VantageConfig = VantageConfig()
    agent: AgentConfig = AgentConfig()
    fleet: FleetConfig = FleetConfig()
    store: StoreConfig = StoreConfig()
    analysis: AnalysisConfig = AnalysisConfig()
    incidents: IncidentConfig = IncidentConfig()
    publish: PublishConfig = PublishConfig()
    web: WebConfig = WebConfig()
    target: tuple[Target, ...] = ()
    place: tuple[PlaceConfig, ...] = ()

    def places(self) -> list[EntityInfo]:
        """Return the `[[place]]` rows as places.

        Raises:
            InputError: an entity is not of the form `kind:code`, or stands twice.
        """
        found: dict[Entity, EntityInfo] = {}
        for number, row in enumerate(self.place):
            try:
                place = _place(row)
            except (InputError, ValueError) as error:
                raise InputError(f"place[{number}]: {error}") from error
            if place.entity in found:
                raise InputError(f"place[{number}]: {place.entity} stands twice")
            found[place.entity] = place
        return list(found.values())


def _place(row: PlaceConfig) -> EntityInfo:
    """Return one `[[place]]` row as a place; ValueError for what cannot be."""
    if not isfinite(row.weight):
        raise ValueError("weight: must be a finite number")
    if row.zone:
        try:
            ZoneInfo(row.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"zone: {row.zone!r} is no IANA time zone") from error
    return EntityInfo(
        entity=Entity.parse(row.entity),
        name=row.name,
        parent=Entity.parse(row.parent) if row.parent else None,
        weight=row.weight,
        timezone=row.zone,
    )


def read_config(path: Path) -> Config:
    """Return the configuration in `path`.

    Raises:
        ConfigError: the file is missing, no TOML, or holds an unknown key or a wrong type.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    return parse_config(text, name=str(path))


def parse_config(text: str, *, name: str = "configuration") -> Config:
    """Return the configuration in `text`; errors name the file as `name`.

    Raises:
        ConfigError: no TOML, an unknown key, a wrong type, or a value that cannot be.
    """
    try:
        # A byte order mark is what some editors begin UTF-8 with.
        raw = tomllib.loads(text.removeprefix("\ufeff"))
        config = msgspec.convert(raw, Config, dec_hook=_decode_value)
        _check_target_keys(raw)
        _check_values(config)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_plain_place(str(error))}") from error
    except (InputError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error
    return config


def _decode_value(kind: type, value: Any) -> Any:  # noqa: ANN401 - msgspec's own signature
    """Turn a TOML string into a duration; anything else is a wrong type."""
    if kind is Duration and isinstance(value, str):
        return Duration.parse(value)
    raise ValueError(f'expected a {kind.__name__.lower()} such as "5m"')


def _plain_place(text: str) -> str:
    """Rewrite msgspec's `… - at `$.agent.period`` as `agent.period: …`."""
    message, _, place = text.partition(" - at `$.")
    if place:
        return f"{place.rstrip('`')}: {message}"
    return message


def _check_target_keys(raw: dict[str, Any]) -> None:
    """Raise ValueError for an unknown key of a `[[target]]`, which is a noun and no section."""
    known = {entry.name for entry in fields(Target)}
    for number, row in enumerate(raw.get("target", ())):
        for key in row:
            if key not in known:
                raise ValueError(f"target[{number}]: Object contains unknown field `{key}`")


def _check_values(config: Config) -> None:
    """Raise ValueError for values of the right type that cannot work together."""
    config.places()
    for section, key in _POSITIVE:
        if getattr(getattr(config, section), key) <= timedelta(0):
            raise ValueError(f"{section}.{key}: must be longer than nothing")
    names = [target.id for target in config.target]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"target: the id {twice[0]!r} stands twice")
    for number, target in enumerate(config.target):
        if not 0 <= target.port <= 65535:
            raise ValueError(f"target[{number}].port: {target.port} is no port")
        for entity in target.entities():
            try:
                Entity.parse(str(entity))
            except InputError as error:
                raise ValueError(f"target[{number}]: {error}") from error

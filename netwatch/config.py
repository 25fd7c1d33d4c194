"""The configuration: one TOML file, decoded into frozen structs and checked.

Every error is one line that names the key.
"""

import os
import tomllib
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from netwatch.model.duration import Duration, PositiveDuration
from netwatch.model.entities import Entity, EntityInfo, EntityKind
from netwatch.model.errors import ConfigError, InputError, StoreError, os_errors_as
from netwatch.model.measurement import Target
from netwatch.model.text import MAX_NAME, MAX_WORD, is_shown, is_word
from netwatch.plugins import Section, decode_section

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
"""Infinity is refused; no count of people or messages reaches a trillion."""
PluginSections = dict[str, dict[str, Any]]
"""Tables of plugins by name; each plugin checks its own."""


class BrokerConfig(Section, frozen=True):
    """`[broker]`: the MQTT broker. An embedded one runs in the process of `netwatch up`."""

    embedded: bool = True
    host: str = "127.0.0.1"
    port: Port = 1883
    username: str = "netwatch"
    password: str = ""
    tls: bool = False
    insecure: bool = False


class UplinkConfig(Section, frozen=True):
    """`[[uplink]]`: one endpoint from an agent to its observatory, in order of preference."""

    urls: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    username: str = ""
    password: str = ""
    ca_file: str = ""
    alpn: str = ""
    insecure: bool = False


class CollectorConfig(Section, frozen=True):
    """`[collector]`: its HTTP address, and the sending rate that it advises agents to keep."""

    host: str = "127.0.0.1"
    port: Port = 0
    rate: Amount = 0.0
    reconnect_spread: Duration = Duration(seconds=60)
    shared: bool = False
    unsigned: bool = False


class VantageConfig(Section, frozen=True):
    """`[vantage]`: the identity and network location of this agent."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = "local"
    country: Annotated[str, msgspec.Meta(pattern=r"^([A-Z]{2})?$")] = ""
    asn: Annotated[int, msgspec.Meta(ge=0, le=4294967295)] = 0


class AgentConfig(Section, frozen=True):
    """`[agent]`: schedule, timeouts and limits of probing."""

    period: PositiveDuration = PositiveDuration(minutes=5)
    timeout: PositiveDuration = PositiveDuration(seconds=10)
    concurrency: Count = 64
    flush_interval: Duration = Duration(seconds=10)
    spool_bytes: Count = 64 * 1024 * 1024
    witness_period: PositiveDuration = PositiveDuration(seconds=30)
    budget: Literal["low", "standard", "full"] = "standard"
    quiet_hours: str = ""
    burst: bool = False


class FleetConfig(Section, frozen=True):
    """`[fleet]`: enrollment of volunteers' agents at this observatory."""

    url: str = ""
    brokers: tuple[str, ...] = ()
    open_weight: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0


class StoreConfig(Section, frozen=True):
    """`[store]`: the engine that keeps the series; its options are in `[stores.<engine>]`."""

    engine: str = "sqlite"


class AnalysisConfig(Section, frozen=True):
    """`[analysis]`: bin width, wait for late data, and the history that a baseline needs."""

    bin: PositiveDuration = PositiveDuration(minutes=5)
    late_data_grace: Duration = Duration(seconds=30)
    min_history: Duration = Duration(days=2)


class IncidentConfig(Section, frozen=True):
    """`[incidents]`: when a loss becomes an incident, is merged, updated, resolved or reopened."""

    min_duration_country: Duration = Duration(minutes=20)
    min_duration_network: Duration = Duration(minutes=30)
    merge_window: Duration = Duration(hours=6)
    resolve_after: Duration = Duration(hours=6)
    reopen_window: Duration = Duration(hours=2)
    milestone: PositiveDuration = PositiveDuration(hours=1)
    update_every: Duration = Duration(hours=1)

    def min_duration(self, kind: EntityKind) -> timedelta:
        """Return how long an entity of `kind` must be low before an incident opens."""
        if kind is EntityKind.COUNTRY:
            return self.min_duration_country
        return self.min_duration_network


class PublishConfig(Section, frozen=True):
    """`[publish]`: channels and languages of posts; options of channel x are in `[channels.x]`."""

    channels: tuple[str, ...] = ("console", "file")
    languages: tuple[str, ...] = ("en",)
    url: str = "http://127.0.0.1:8080"
    auto_publish: bool = False


class WebConfig(Section, frozen=True):
    """`[web]`: the address of the observatory's pages."""

    host: str = "127.0.0.1"
    port: Port = 8080


class PlaceConfig(Section, frozen=True):
    """`[[place]]`: name, parent and weight of an entity."""

    entity: str
    name: str
    parent: str = ""
    weight: Amount = 1.0
    timezone: str = ""

    def info(self) -> EntityInfo:
        """Return the row as a value of the model.

        Raises:
            ValueError: the time zone is invalid, or the name is too long or not printable.
            InputError: an entity is not of the form `kind:code`.
        """
        if not all(map(is_shown, self.name)):
            raise ValueError("name: has characters that are not shown, such as line breaks")
        if len(self.name) > MAX_NAME:
            raise ValueError(f"name: {len(self.name)} characters are more than {MAX_NAME}")
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(f"timezone: {self.timezone!r} is not an IANA time zone") from error
        return EntityInfo(
            entity=Entity.parse(self.entity),
            name=self.name,
            parent=Entity.parse(self.parent) if self.parent else None,
            weight=self.weight,
            timezone=self.timezone,
        )


class Config(Section, frozen=True):
    """The whole file. Every table and key has a default; `data` is the data folder."""

    data: str = "data"
    drill: bool = False
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
    stores: PluginSections = msgspec.field(default_factory=dict)
    channels: PluginSections = msgspec.field(default_factory=dict)
    probes: PluginSections = msgspec.field(default_factory=dict)
    sources: PluginSections = msgspec.field(default_factory=dict)

    def places(self) -> list[EntityInfo]:
        """Return the `[[place]]` rows as values of the model.

        Raises:
            InputError: a row is invalid, or an entity occurs twice.
        """
        by_entity: dict[Entity, EntityInfo] = {}
        for number, row in enumerate(self.place):
            try:
                info = row.info()
            except (InputError, ValueError) as error:
                raise InputError(f"place[{number}]: {error}") from error
            if info.entity in by_entity:
                raise InputError(f"place[{number}]: {info.entity} occurs twice")
            by_entity[info.entity] = info
        return list(by_entity.values())


def read_config(path: Path) -> Config:
    """Return the configuration in `path`.

    Raises:
        ConfigError: the file is missing, not TOML, or holds an unknown key or a wrong type.
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
        ConfigError: not TOML, an unknown key, a wrong type or an invalid value.
    """
    try:
        # Some editors begin UTF-8 with a byte order mark.
        tables = tomllib.loads(text.removeprefix("\ufeff"))
        config = decode_section(Config, tables)
        check_target_keys(tables, Target)
        _check_values(config)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    except (ConfigError, InputError, ValueError) as error:
        raise ConfigError(f"{name}: {error}") from error
    return config


def write_config(config: Config, path: Path) -> None:
    """Write `config` as TOML; `read_config` returns an equal value.

    Raises:
        StoreError: the file cannot be written.
    """
    import tomli_w  # noqa: PLC0415 - an agent only reads

    text = tomli_w.dumps(msgspec.to_builtins(config, enc_hook=_encode_duration))
    with os_errors_as(StoreError, f"{path}: cannot be written"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


def resolve_secret(text: str, *, key: str) -> str:
    """Return a secret: `text` itself, or for `$NAME` the value of that environment variable.

    Raises:
        ConfigError: the variable is unset or empty.
    """
    if not text.startswith("$"):
        return text
    secret = os.environ.get(text[1:], "")
    if not secret:
        raise ConfigError(f"{key}: {text} is not set in the environment")
    return secret


def _encode_duration(value: object) -> str:
    if not isinstance(value, Duration):
        raise TypeError(f"{type(value).__name__} cannot be written to a configuration")
    return f"{round(value / timedelta(milliseconds=1))}ms"


def check_target_keys(tables: Mapping[str, list[dict[str, object]]], kind: type[Target]) -> None:
    """Raise ValueError for a key of a `[[target]]` that `kind` lacks, which msgspec lets pass."""
    known = {entry.name for entry in fields(kind)}
    for number, row in enumerate(tables.get("target", ())):
        for key in row:
            if key not in known:
                raise ValueError(f"target[{number}]: Object contains unknown field `{key}`")


def _check_values(config: Config) -> None:
    config.places()
    ids = Counter(target.id for target in config.target)
    for target_id, count in sorted(ids.items()):
        if count > 1:
            raise ValueError(f"target: the id {target_id!r} occurs twice")
    for number, target in enumerate(config.target):
        if not is_word(target.id):
            raise ValueError(
                f"target[{number}].id: want 1 to {MAX_WORD} printable ASCII characters"
            )
        if not 0 <= target.port <= 65535:
            raise ValueError(f"target[{number}].port: {target.port} is not a port")
        for entity in target.entities():
            try:
                Entity.parse(str(entity))
            except InputError as error:
                raise ValueError(f"target[{number}]: {error}") from error

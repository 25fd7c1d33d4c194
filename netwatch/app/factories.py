"""Builds the store, the ledger, the channels, the probes and the sources of a configuration."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from netwatch.app.clock import now
from netwatch.app.transports import broker_connector
from netwatch.config import Config, PluginSections
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.errors import PluginError, StoreError
from netwatch.plugins import build_plugin, plugin_names
from netwatch.protocols import Channel, Probe, Publish, SeriesStore, Services, Source

if TYPE_CHECKING:
    from netwatch.ledger.ledger import SqlLedger


def make_services(config: Config) -> Services:
    """Return the shared parts of the process that plugins may use.

    Raises:
        InputError: the configured entities do not form a tree.
    """
    entities = make_entity_tree(config)

    def area(entity: Entity) -> str:
        country = entities.country(entity)
        return country.code if country else ""

    return Services(
        folder=Path(config.data),
        clock=now,
        write=_write_terminal,
        area=area,
        connect_publisher=lambda: _connect_publisher(config),
    )


def open_store(config: Config) -> SeriesStore:
    """Return the store that `[store] engine` names.

    Raises:
        PluginError: there is no such engine.
        ConfigError: its section is invalid.
        StoreError: it cannot be opened.
    """
    _check_names("stores", config.stores)
    engine = config.store.engine
    section = config.stores.get(engine, {})
    return cast("SeriesStore", build_plugin("stores", engine, section, make_services(config)))


def open_ledger(config: Config) -> "SqlLedger":
    """Return the ledger: one SQLite file in the data folder.

    Raises:
        StoreError: it cannot be opened.
    """
    from netwatch.ledger.ledger import SqlLedger, ledger_url  # noqa: PLC0415 - an agent has none

    return SqlLedger(ledger_url(Path(config.data) / "ledger.sqlite"))


def make_channels(config: Config) -> dict[str, Channel]:
    """Return the channels of `[publish]` by name.

    Raises:
        ConfigError: a channel's section is invalid.
        PluginError: there is no channel of that name.
    """
    _check_names("channels", config.channels)
    services = make_services(config)
    return {
        name: build_plugin("channels", name, config.channels.get(name, {}), services)
        for name in config.publish.channels
    }


def make_probes(config: Config, names: Iterable[str]) -> dict[str, Probe]:
    """Return the probes of these names.

    Raises:
        ConfigError: a probe's section is invalid.
        PluginError: there is no probe of that name.
    """
    _check_names("probes", config.probes)
    services = make_services(config)
    return {
        name: build_plugin("probes", name, config.probes.get(name, {}), services)
        for name in sorted(set(names))
    }


def make_sources(config: Config) -> dict[str, Source]:
    """Return all installed sources by name.

    Raises:
        ConfigError: a source's section is invalid.
        PluginError: a source cannot be imported.
    """
    _check_names("sources", config.sources)
    services = make_services(config)
    return {
        name: build_plugin("sources", name, config.sources.get(name, {}), services)
        for name in plugin_names("sources")
    }


def make_entity_tree(config: Config) -> EntityTree:
    """Return the entities of `[[place]]`, and those that targets name.

    A target's ASN belongs to its region, or to its country if it names no region; its domain
    belongs to the narrowest of them. A `[[place]]` overrides what targets imply.

    Raises:
        InputError: an entity occurs twice, or is its own ancestor.
    """
    places = {place.entity: place for place in config.places()}
    for target in config.target:
        parent: Entity | None = None
        for entity in target.entities():
            if entity not in places:
                name = f"AS{entity.code}" if entity.kind is EntityKind.ASN else entity.code
                places[entity] = EntityInfo(entity, name=name, parent=parent)
            parent = entity
    return EntityTree(places.values())


def write_places(folder: Path, places: Iterable[EntityInfo]) -> None:
    """Write `places.json`, which gives readers of the data names and parents of entities.

    Raises:
        StoreError: the folder cannot be written.
    """
    draft = folder / "places.json.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(list(places)))
        draft.replace(folder / "places.json")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written: {error.strerror}") from error


def _check_names(group: str, sections: PluginSections) -> None:
    """Raise PluginError for a section of a plugin that is not installed."""
    names = plugin_names(group)
    for name in sections:
        if name not in names:
            raise PluginError(
                f"[{group}.{name}]: no {group.removesuffix('s')} named {name!r}; installed: "
                + ", ".join(names)
            )


def _write_terminal(text: str) -> None:
    """Write and flush: a post that is marked as sent must not wait in a buffer."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _connect_publisher(config: Config) -> Publish:
    """Return a function that publishes over a connection of its own; posts are rare."""
    connect = broker_connector(config)

    async def publish(topic: str, payload: bytes, *, retain: bool = False) -> None:
        async with connect(None) as transport:
            await transport.publish(topic, payload, retain=retain)

    return publish

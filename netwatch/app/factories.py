"""Builds the store, the ledger, the channels, the probes and the sources of a configuration."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from netwatch.app.data_files import LEDGER_FILE, SERIES_FILE, open_installation
from netwatch.app.transports import broker_connector
from netwatch.app.wall_clock import now
from netwatch.config import Config, PluginSections
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.errors import PluginError, StoreError, os_errors_as
from netwatch.plugins import build_plugin, plugin_names
from netwatch.protocols import Channel, Probe, Publish, SeriesStore, Services, Source
from netwatch.storage.private_files import FOLDER_MODE, write_private

if TYPE_CHECKING:
    from netwatch.ledger.ledger import SqlLedger


def make_services(config: Config) -> Services:
    """Return the shared parts of the process that plugins may use."""
    return Services(
        folder=Path(config.data),
        clock=now,
        write=_write_terminal,
        area=make_entity_tree(config).country_code,
        connect_publisher=lambda: _connect_publisher(config),
    )


def open_store(config: Config) -> SeriesStore:
    """Return the store that `[store] engine` names.

    Raises:
        PluginError: there is no such engine.
        ConfigError: its section is invalid.
        StoreError: it cannot be opened.
    """
    engine = config.store.engine

    def build(_path: Path | None = None) -> SeriesStore:
        built = _build_plugins(config, "stores", config.stores, [engine])
        return cast("SeriesStore", built[engine])

    if engine != "sqlite":
        return build()
    return open_installation(config).open_replaceable(SERIES_FILE, build)


def open_ledger(config: Config) -> "SqlLedger":
    """Return the ledger: one SQLite file in the data folder.

    Raises:
        LostError: the file is missing, damaged, older than before, or of another observatory.
        StoreError: it cannot be opened.
    """
    from netwatch.ledger.ledger import SqlLedger, ledger_url  # noqa: PLC0415 - an agent has none

    return open_installation(config).open(LEDGER_FILE, lambda path: SqlLedger(ledger_url(path)))


def make_channels(config: Config) -> dict[str, Channel]:
    """Return the channels of `[publish]` by name."""
    return _build_plugins(config, "channels", config.channels, config.publish.channels)


def make_probes(config: Config, names: Iterable[str]) -> dict[str, Probe]:
    """Return the probes of these names."""
    return _build_plugins(config, "probes", config.probes, sorted(set(names)))


def make_sources(config: Config) -> dict[str, Source]:
    """Return all installed sources by name."""
    return _build_plugins(config, "sources", config.sources, plugin_names("sources"))


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
    with os_errors_as(StoreError, f"{folder}: cannot be written"):
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        write_private(folder / "places.json", msgspec.json.encode(list(places)))


def _build_plugins(
    config: Config, group: str, sections: PluginSections, names: Iterable[str]
) -> dict[str, Any]:
    installed = plugin_names(group)
    for name in sections:
        if name not in installed:
            raise PluginError(
                f"[{group}.{name}]: no {group.removesuffix('s')} named {name!r}; installed: "
                + ", ".join(installed)
            )
    services = make_services(config)
    return {name: build_plugin(group, name, sections.get(name, {}), services) for name in names}


def _write_terminal(text: str) -> None:
    """Write and flush: a post that is marked as sent must not wait in a buffer."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _connect_publisher(config: Config) -> Publish:
    connect = broker_connector(config)

    async def publish(topic: str, payload: bytes, *, retain: bool = False) -> None:
        async with connect(None) as transport:
            await transport.publish(topic, payload, retain=retain)

    return publish

"""The store and the ledger that the configuration names."""

from collections.abc import Callable
from pathlib import Path

from netwatch.app.places import make_entity_tree
from netwatch.config import Config
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import Entity, EntityTree
from netwatch.plugins import load_plugin
from netwatch.protocols import SeriesStore
from netwatch.store.sqlite import SqliteStore


def open_store(config: Config) -> SeriesStore:
    """Return the store that `[store] engine` names.

    Raises:
        PluginError: no such engine.
        StoreError: it cannot be opened.
    """
    engine = config.store.engine
    if engine == "sqlite":
        area = _country_of(make_entity_tree(config))
        return SqliteStore(Path(config.data) / "series.sqlite", area=area)
    if engine == "influx":
        from netwatch.store.influx.store import open_influx  # noqa: PLC0415 - an extra of its own

        return open_influx(config.store)
    store: SeriesStore = load_plugin("stores", engine).at(config.store.url)
    return store


def open_ledger(config: Config) -> SqlLedger:
    """Return the ledger: one SQLite file in the data folder.

    Raises:
        StoreError: it cannot be opened.
    """
    return SqlLedger(ledger_url(Path(config.data) / "ledger.sqlite"))


def _country_of(atlas: EntityTree) -> Callable[[Entity], str]:
    """Return a function that names the country whose series an entity's stand beside."""

    def area(entity: Entity) -> str:
        country = atlas.country(entity)
        return country.code if country else ""

    return area

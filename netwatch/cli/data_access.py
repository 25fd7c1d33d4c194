"""Read access to an observatory's data for the commands: its store, ledger and entities."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from netwatch.app.factories import make_entity_tree, open_ledger, open_store
from netwatch.app.wall_clock import now
from netwatch.cli.time_parsing import parse_instant
from netwatch.config import Config, read_config
from netwatch.ledger.ledger import SqlLedger
from netwatch.model.entities import EntityInfo, EntityTree
from netwatch.model.errors import InputError, StoreError, os_errors_as
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.protocols import SeriesStore


@dataclass(frozen=True, slots=True)
class ObservatoryData:
    """An observatory's store, ledger and entities."""

    store: SeriesStore
    ledger: SqlLedger
    tree: EntityTree


@contextmanager
def open_data(
    directory: Path | None = None, *, config: Path | None = None
) -> Iterator[ObservatoryData]:
    """Open an observatory's data, from whatever store is configured.

    Args:
        directory: the data folder; None is the configured one, by default `data`.
        config: a configuration, whose store and entities are used; without one, the store is
            in the data folder and the entities are those of `places.json`.

    Raises:
        StoreError: there is no ledger in the folder, or the data cannot be read.
        InputError: `places.json` is damaged.
        ConfigError: the configuration is invalid.
    """
    loaded = read_config(config) if config else Config()
    folder = directory or Path(loaded.data)
    loaded = msgspec.structs.replace(loaded, data=str(folder))
    # Opening creates files, which a wrong folder must not get.
    if not (folder / "ledger.sqlite").is_file():
        raise StoreError(f"{folder / 'ledger.sqlite'}: no such file; is --data right?")
    tree = make_entity_tree(loaded) if config else EntityTree(_read_places(folder))
    with closing(open_store(loaded)) as store, closing(open_ledger(loaded)) as ledger:
        yield ObservatoryData(store, ledger, tree)


def _read_places(folder: Path) -> list[EntityInfo]:
    path = folder / "places.json"
    if not path.is_file():
        return []
    what = f"{path}: not a list of entities"
    with os_errors_as(InputError, what):
        data = path.read_bytes()
    return decode_foreign(data, msgspec.json.Decoder(list[EntityInfo]).decode, what=what)


def parse_time(text: str | None, zone: str) -> datetime | None:
    """Return the time that an option names, and print it in UTC on stderr; None if not given.

    Raises:
        InputError: the time or the zone is invalid.
    """
    if text is None:
        return None
    try:
        time = parse_instant(text, now=now(), zone=ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InputError(f"{zone[:60]!r} is not a time zone; write UTC or Asia/Tehran") from error
    sys.stderr.write(f"{text} is {time:%Y-%m-%dT%H:%MZ}\n")
    return time

"""Every file that netwatch keeps in a data folder, and what happens when one is damaged."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path

from netwatch.config import Config
from netwatch.model.errors import ConfigError, os_errors_as
from netwatch.storage.installation import RECORD_FILE, Installation
from netwatch.storage.private_files import FOLDER_MODE, close_to_others

_log = logging.getLogger(__name__)
BATCHES_FILE = "batches.sqlite"
LEDGER_FILE = "ledger.sqlite"
SERIES_FILE = "series.sqlite"
PRESENCE_FILE = "presence.sqlite"
IRREPLACEABLE = (BATCHES_FILE, LEDGER_FILE, "collector.key", "targets.key")
DATABASES = (BATCHES_FILE, LEDGER_FILE, SERIES_FILE, PRESENCE_FILE)


class OnDamage(StrEnum):
    """What happens when a file is damaged or lost."""

    REFUSE = "refused: restore a backup, or `netwatch store accept`"
    REPLACE = "renamed, and started anew"
    REMAKE = "written again"
    SKIP = "named and skipped; all others are read"
    NOTHING = "has no content that counts"


@dataclass(frozen=True, slots=True)
class DataFile:
    """One kind of file.

    Attributes:
        pattern: its path in the data folder, with `*` for any characters.
        content: what is in it.
        is_public: everybody may read it.
    """

    pattern: str
    content: str
    on_damage: OnDamage
    is_public: bool = False


DATA_FILES = (
    DataFile(RECORD_FILE, "which files this folder has had", OnDamage.REMAKE),
    DataFile(BATCHES_FILE, "batches, agents, their keys, invitations", OnDamage.REFUSE),
    DataFile(LEDGER_FILE, "incidents, posts, the state of the analysis", OnDamage.REFUSE),
    DataFile("collector.key", "the collector's private key", OnDamage.REFUSE),
    DataFile("targets.key", "the private key of target lists", OnDamage.REFUSE),
    DataFile("targets.signed", "the published target list", OnDamage.SKIP),
    *(
        kind
        for folder in ("", "five-minutes/", "hourly/")
        for kind in (
            DataFile(f"{folder}{SERIES_FILE}", "bins and levels of open days", OnDamage.REPLACE),
            DataFile(f"{folder}days/*.parquet", "one compacted day", OnDamage.SKIP),
            DataFile(f"{folder}days/manifest.jsonl", "list of compacted days", OnDamage.SKIP),
            DataFile(f"{folder}days/.lock", "lock", OnDamage.NOTHING),
        )
    ),
    DataFile(PRESENCE_FILE, "which agents were online when", OnDamage.REPLACE),
    DataFile("broker.password", "password of the embedded broker", OnDamage.REMAKE),
    DataFile("places.json", "names and parents of entities", OnDamage.REMAKE),
    DataFile("posts/*.txt", "one published post", OnDamage.SKIP, is_public=True),
    DataFile("agent-*.key", "an agent's private key", OnDamage.REFUSE),
    DataFile("agent-*.key.new", "its next one, while it changes", OnDamage.REFUSE),
    DataFile("consent-*.json", "what the agent's host agreed to", OnDamage.REFUSE),
    DataFile("observatory-*.json", "the agent's enrollment", OnDamage.REFUSE),
    DataFile("targets-*", "the agent's target list", OnDamage.SKIP),
    DataFile("spool-*.sqlite", "measurements that are not yet acknowledged", OnDamage.REPLACE),
    DataFile("*.sqlite.users", "lock", OnDamage.NOTHING),
    DataFile("*.part", "a write that was interrupted", OnDamage.NOTHING),
    DataFile("*.damaged*", "a damaged file, kept for you", OnDamage.NOTHING),
    DataFile("*.format-1", "a store before its migration", OnDamage.NOTHING),
)
"""First match counts. A database's `-wal` and `-shm` belong to it."""


def find_data_file(name: str) -> DataFile | None:
    """Return the kind of the file with this path in a data folder, None if it is unknown."""
    name = name.removesuffix("-wal").removesuffix("-shm")
    return next((kind for kind in DATA_FILES if fnmatch(name, kind.pattern)), None)


def open_installation(config: Config) -> Installation:
    """Return the record of the data folder, created if necessary; raises StoreError."""
    return Installation(Path(config.data), DATABASES)


def secure_data_folder(folder: Path) -> None:
    """Take all permissions on a data folder and its private files from other users.

    Logs one line if they had some.

    Raises:
        ConfigError: the folder cannot be used, or its permissions cannot be taken.
    """
    with os_errors_as(ConfigError, f"data = {str(folder)!r}: cannot be used"):
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    with os_errors_as(ConfigError, f"{folder}: others may use it; run: chmod -R go= {folder}"):
        count = sum(close_to_others(path) for path in (folder, *_private_paths(folder)))
    if count:
        _log.warning(
            "%s: %d files and folders were open to other users, and are not now", folder, count
        )


def _private_paths(folder: Path) -> Iterator[Path]:
    """Yield the private files except keys, which are refused on loading if others can read them."""
    for kind in DATA_FILES:
        is_left = kind.is_public or ".key" in kind.pattern
        for suffix in () if is_left else ("", "-wal", "-shm"):
            yield from folder.glob(kind.pattern + suffix)

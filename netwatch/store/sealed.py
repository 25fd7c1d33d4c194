"""Reading sealed days; a file that is damaged is named once and left out."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from netwatch.model.errors import StoreError
from netwatch.store.database import Table
from netwatch.store.manifest import Entry, file_hash
from netwatch.store.moments import DAY
from netwatch.store.parquet import Parquet
from netwatch.store.rows import Ints, Rows

_log = logging.getLogger(__name__)


class SealedDays:
    """The files under `folder`; which of them count, the caller's entries say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parquet = Parquet()
        self._damaged: set[str] = set()

    def read(
        self,
        table: Table,
        entries: Sequence[Entry],
        span: tuple[int, int],
        numbers: Sequence[int] | None,
    ) -> Rows:
        """Return the rows within `span`, of the series `numbers` or of all, in no order.

        Raises:
            StoreError: DuckDB failed although every file is as it was sealed.
        """
        wanted = None if numbers is None else np.array(sorted(numbers), np.int64)
        sound = [entry for entry in entries if entry.file not in self._damaged]
        if not sound:
            return Rows.empty(table.width)
        files = [self.folder / entry.file for entry in sound]
        within = None if _covers(span, sound) else span
        try:
            return self._parquet.read(table, files, within, wanted)
        except StoreError:
            if not self._learn_damaged(sound):
                raise
        return self.read(table, entries, span, numbers)

    def close(self) -> None:
        """Let go of memory."""
        self._parquet.close()

    def rows_of(self, table: Table, entry: Entry, first: int, last: int) -> Rows:
        """Return all rows of the series `first` to `last` in one file, in no order."""
        wanted: Ints = np.arange(first, last + 1, dtype=np.int64)
        return self._parquet.read(table, [self.folder / entry.file], None, wanted)

    def _learn_damaged(self, entries: Sequence[Entry]) -> bool:
        found = False
        for entry in entries:
            fault = file_fault(self.folder, entry)
            if fault:
                _log.error("%s: left out: %s", self.folder / entry.file, fault)
                self._damaged.add(entry.file)
                found = True
        return found


def _covers(span: tuple[int, int], entries: Sequence[Entry]) -> bool:
    """Return whether all of the entries' days lie within `span`."""
    days = [entry.day for entry in entries]
    return span[0] <= min(days) * DAY and (max(days) + 1) * DAY <= span[1]


def file_fault(folder: Path, entry: Entry) -> str:
    """Return what tells the file of `entry` from what was sealed, empty where nothing does."""
    path = folder / entry.file
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            return f"is damaged: has {size} bytes where {entry.bytes} were sealed"
        if file_hash(path) != entry.sha256:
            return "is damaged: its SHA-256 is not the one that was sealed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""

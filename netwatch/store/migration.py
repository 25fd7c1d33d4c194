"""Migration of an embedded store from format 1 to the present one.

Format 1 kept open days as blobs: up to 128 series of one interval, first their slots (a byte
each), then each column as little-endian doubles, then a CRC-32. Parquet files and the manifest
are the same in both formats, except that levels had sentences for their baselines.
"""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from zlib import crc32

import numpy as np

from netwatch.model.errors import StoreError
from netwatch.store.recovery import exclusive_lock
from netwatch.store.schema import APPLICATION_ID, BINS, TABLES, Table, open_file

_LOG = logging.getLogger(__name__)

_BLOCK_SERIES = 128
_CRC_BYTES = 4
_COPIES = {
    "series": "SELECT ordinal, id, area, signal, kind, code FROM series",
    "compacted": "SELECT line, day, kind, file, entry FROM sealed",
    "watermark": "SELECT one, closed_until FROM promise",
}


def migrate(path: Path) -> int:
    """Convert the store at `path` if it has format 1; return how many open rows it had.

    The old file is kept as `<name>.format-1`. Damaged blocks are logged and left out. A
    conversion that was interrupted starts anew.

    Raises:
        StoreError: the file is damaged, in use, or not a store.
    """
    with exclusive_lock(path):
        with closing(sqlite3.connect(path, isolation_level=None)) as old:
            try:
                if not _is_format_1(old):
                    return 0
                old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                draft = path.with_name(f"{path.name}.migrating")
                draft.unlink(missing_ok=True)
                count = _convert(old, draft)
            except sqlite3.Error as error:
                raise StoreError(f"{path}: cannot be migrated: {error}") from error
        backup = path.with_name(f"{path.name}.format-1")
        backup.unlink(missing_ok=True)
        backup.hardlink_to(path)
        draft.replace(path)
    return count


def _is_format_1(old: sqlite3.Connection) -> bool:
    application, version = (
        old.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    return bool(application == APPLICATION_ID and version == 1)


def _convert(old: sqlite3.Connection, draft: Path) -> int:
    count = 0
    with closing(open_file(draft)) as database:
        with database.transaction(durable=True) as connection:
            for name, query in _COPIES.items():
                places = ", ".join("?" * len(old.execute(query).description))
                insert = f"INSERT INTO {name} VALUES ({places})"  # noqa: S608 - the schema's own names
                connection.executemany(insert, old.execute(query))
            for table in TABLES:
                cursor = connection.executemany(table.upsert(), _rows(old, table))
                count += cursor.rowcount
        database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def _rows(old: sqlite3.Connection, table: Table) -> Iterator[tuple[object, ...]]:
    """Yield the rows in the sound blocks of a table."""
    width = len(table.columns) - 2
    texts = dict(old.execute("SELECT id, text FROM text"))
    query = f"SELECT time, block, data FROM {table.name}"  # noqa: S608 - the schema's own names
    for time, block, data in old.execute(query):
        if crc32(data[:-_CRC_BYTES]) != int.from_bytes(data[-_CRC_BYTES:], "little"):
            _LOG.error("block %d of %s at %d is damaged, left out", block, table.name, time)
            continue
        count = (len(data) - _CRC_BYTES) // (1 + 8 * width)
        cells = np.frombuffer(data, "<f8", count * width, count).reshape(width, count)
        for slot, values in zip(data[:count], cells.T.tolist(), strict=True):
            if table is not BINS:
                values[-1] = texts[int(values[-1])]
            # SQLite stores NaN as NULL, which is what it stood for.
            yield (time, block * _BLOCK_SERIES + slot, *values)

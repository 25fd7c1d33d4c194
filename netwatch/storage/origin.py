"""The origin of a database: its observatory, and a generation that grows as time passes.

It is a table of one row in the file itself, so that a copy of the file carries it along.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from netwatch.model.errors import StoreError, os_errors_as
from netwatch.storage.sqlite_file import (
    BUSY_TIMEOUT,
    DamagedError,
    check_length,
    prepare_database,
    sqlite_errors_as_ours,
)

_GENERATION_SECONDS = 3600
"""A generation: a copy that is older by this much is recognised, one of the same hour is not."""
_TABLE = """
CREATE TABLE IF NOT EXISTS origin (
    one INTEGER PRIMARY KEY CHECK (one = 1), observatory TEXT NOT NULL,
    generation INTEGER NOT NULL, since INTEGER NOT NULL
)
"""
_DAMAGE = """SELECT quick_check FROM pragma_quick_check(100000)
WHERE quick_check <> 'ok' AND quick_check NOT LIKE 'NULL value in superseded.%' LIMIT 1"""
"""The first damage. Some versions of SQLite take a table without row ids, whose primary key is in
another order than its columns, for one with missing values; earlier batch logs had such a table."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The observatory of a file, empty if the file does not say, and its generation from 1."""

    observatory: str
    generation: int


def read_origin(path: Path) -> Origin | None:
    """Return the origin of a database, None if it is missing or has no table.

    Raises:
        DamagedError: the file is damaged, or only its log is there.
        StoreError: it cannot be opened.
    """
    log = path.with_name(f"{path.name}-wal")
    with os_errors_as(StoreError, f"{path}: cannot be opened"):
        has_content = path.exists() and path.stat().st_size > 0
        if not has_content and not (log.exists() and log.stat().st_size):
            return None
    with _open(path) as file:
        tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
        if "origin" not in tables:
            return Origin("", 0) if tables else None
        row = file.execute("SELECT observatory, generation FROM origin").fetchone()
    return Origin(*row) if row else Origin("", 0)


def mark_origin(path: Path, observatory: str, *, above: int = 0) -> int:
    """Write the origin of a database, in a new generation if the last began an hour ago.

    Args:
        path: the file, which has its tables.
        observatory: replaces another one.
        above: the generation is larger than this.

    Returns:
        The generation.

    Raises:
        StoreError: the file cannot be written.
    """
    with _open(path) as file:
        file.execute("BEGIN IMMEDIATE")
        file.execute(_TABLE)
        file.execute(
            "INSERT OR IGNORE INTO origin VALUES (1, ?, ?, unixepoch())", (observatory, above + 1)
        )
        file.execute(
            "UPDATE origin SET observatory = ?1, generation = max(generation, ?2) + 1,"
            " since = unixepoch() WHERE observatory <> ?1 OR generation <= ?2"
            " OR abs(unixepoch() - since) >= ?3",
            (observatory, above, _GENERATION_SECONDS),
        )
        generation: int = file.execute("SELECT generation FROM origin").fetchone()[0]
        file.execute("COMMIT")
    return generation


def find_damage(path: Path) -> str:
    """Read all of a database; return what is damaged, empty if nothing is or it is missing."""
    if not path.exists():
        return ""
    try:
        with _open(path) as file:
            found = file.execute(_DAMAGE).fetchone()
    except DamagedError as error:
        return str(error).removeprefix(f"{path}: ")
    return "" if found is None else f"is damaged: {found[0]}"


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    prepare_database(path)
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    with (
        sqlite_errors_as_ours(path),
        closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT, isolation_level=None)) as file,
    ):
        check_length(path, file)
        yield file

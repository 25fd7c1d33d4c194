"""Tables of agents: keys, enrollment and quarantine, which decide how a batch is accepted.

They are in the same file as the batches, so that a batch and the status of its sender are
evaluated in one transaction.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

from netwatch.collector.trust_tables import TRUST_TABLE_NAMES, TRUST_TABLES, TrustTables
from netwatch.model.measurement import Vantage
from netwatch.storage.sqlite_file import Schema, SqliteFile

_VERSION = 1
"""Version of the schema of the file that holds batches, clocks and agents."""
_AGENT_TABLES = """
CREATE TABLE IF NOT EXISTS vantage (id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vantage_key ON vantage (key);
CREATE TABLE IF NOT EXISTS former_key (
    id TEXT NOT NULL, key BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (id, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent (
    id TEXT PRIMARY KEY, country TEXT NOT NULL, network INTEGER NOT NULL, region TEXT NOT NULL,
    consent INTEGER NOT NULL, software TEXT NOT NULL, enrolled INTEGER NOT NULL, retired INTEGER,
    owner TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    id TEXT PRIMARY KEY, since INTEGER NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invitation (
    digest BLOB PRIMARY KEY, made INTEGER NOT NULL, expires INTEGER NOT NULL,
    country TEXT NOT NULL, network INTEGER NOT NULL, replaces TEXT NOT NULL, key BLOB,
    owner TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (digest BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
"""
"""Tables by agent; times are milliseconds since 1970. `former_key` holds keys that were replaced
in order, and until when a measurement signed with one may have been made; a lost key is in no
table. `erased` holds hashes of erased keys for a day, so that batches still on their way do not
create the agent again."""
_ERASED_KEPT = timedelta(days=1)
_KEY = "SELECT key FROM vantage WHERE id = ?"
_OWNED_TABLES = ("agent", "invitation")
"""Tables whose column `owner` is missing in files of earlier versions; the owner answers for the
agent and is empty if the operator named none."""


_STANDING = """
SELECT (SELECT key FROM vantage WHERE id = :name),
    EXISTS (SELECT 1 FROM former_key WHERE id = :name AND key = :key),
    EXISTS (SELECT 1 FROM agent WHERE id = :name AND retired IS NULL)
"""


class Standing(StrEnum):
    """What is known of a sender by its name and key alone.

    `OPEN` is the key of an agent that never enrolled, `NEW` a name without any key.
    """

    ENROLLED = "enrolled"
    OPEN = "open"
    NEW = "new"
    WRONG_KEY = "wrong_key"


class IngestResult(StrEnum):
    """Result of adding a batch."""

    STORED = "stored"
    REPEATED = "repeated"
    EQUIVOCATION = "equivocation"
    WRONG_KEY = "wrong_key"
    RETIRED = "retired"
    QUARANTINED = "quarantined"
    DEFECT = "defect"


class AgentTables(TrustTables):
    """Base of the classes that use the file of agents and batches.

    Every method may raise StoreError, naming the file; then nothing was changed. Methods that
    write run inside a transaction of the caller.
    """

    def __init__(self, path: Path, *, more_tables: str = "") -> None:
        schema = Schema(_AGENT_TABLES + TRUST_TABLES + more_tables, version=_VERSION)
        super().__init__(SqliteFile(path, schema, durable=True))
        if any(self._lacks_owner(table) for table in _OWNED_TABLES):
            self._add_owners()

    def key_of(self, name: str) -> bytes | None:
        """Return the key pinned to an agent, None if no key is pinned."""
        rows = self._database.fetch(_KEY, (name,))
        return bytes(rows[0][0]) if rows else None

    def pin(self, keys: Mapping[str, bytes]) -> list[str]:
        """Pin the keys of the observatory's own vantages; return the names others hold."""
        with self._database.transaction():
            statement = "INSERT OR IGNORE INTO vantage VALUES (?, ?)"
            self._file.executemany(statement, keys.items())
        return [name for name, key in keys.items() if self.key_of(name) != key]

    def standing(self, name: str, key: bytes | None) -> Standing:
        """Return what is known of a sender before its message is decoded."""
        row = self._database.fetch(_STANDING, {"name": name, "key": key})
        pinned, is_former, is_enrolled = row[0]
        if pinned is None:
            return Standing.NEW
        if key != pinned and not is_former:
            return Standing.WRONG_KEY
        return Standing.ENROLLED if is_enrolled else Standing.OPEN

    def _has_key(self, name: str, key: bytes | None) -> bool:
        """Return whether a key is the agent's, or was before it was replaced in order."""
        return self.standing(name, key) in {Standing.OPEN, Standing.ENROLLED}

    def _check_sender(
        self, vantage: Vantage, key: bytes | None, *, last: int, now: datetime
    ) -> IngestResult | None:
        """Return why a batch that `key` signed does not count, None if it does.

        The first key that signs for a vantage is pinned to it. A former key stays valid for
        measurements made before it was replaced; `last` is the time of the newest one,
        milliseconds since 1970. An enrolled agent whose country or network differs from its
        enrollment is quarantined until the operator has looked at it. The batch came `now`.
        """
        pinned = self.key_of(vantage.id)
        if pinned is None and key is not None:
            query = "SELECT 1 FROM erased WHERE digest = ? AND until > ?"
            if self._exists(query, sha256(key).digest(), now.timestamp()):
                return IngestResult.RETIRED
            self._file.execute("INSERT INTO vantage VALUES (?, ?)", (vantage.id, key))
        was_key = "SELECT 1 FROM former_key WHERE id = ? AND key = ? AND until >= ?"
        if pinned not in {None, key} and not self._exists(was_key, vantage.id, key, last):
            return IngestResult.WRONG_KEY
        query = "SELECT country, network, retired FROM agent WHERE id = ?"
        enrolled = self._file.execute(query, (vantage.id,)).fetchone()
        if enrolled is not None and enrolled[2] is not None:
            return IngestResult.RETIRED
        is_elsewhere = enrolled is not None and enrolled[:2] != (vantage.country, vantage.asn)
        if is_elsewhere or self._exists("SELECT 1 FROM quarantine WHERE id = ?", vantage.id):
            return IngestResult.QUARANTINED
        return None

    def _erase_agent(self, name: str, now: datetime) -> None:
        """Delete everything these tables hold about an agent."""
        query = "SELECT key FROM vantage WHERE id = ? UNION SELECT key FROM former_key WHERE id = ?"
        for (key,) in self._file.execute(query, (name, name)).fetchall():
            self._file.execute("DELETE FROM invitation WHERE key = ?", (key,))
            row = (sha256(key).digest(), int((now + _ERASED_KEPT).timestamp()))
            self._file.execute("INSERT OR REPLACE INTO erased VALUES (?, ?)", row)
        self._file.execute("DELETE FROM erased WHERE until < ?", (now.timestamp(),))
        self._file.execute("DELETE FROM invitation WHERE replaces = ?", (name,))
        for table in ("vantage", "former_key", "agent", "quarantine", *TRUST_TABLE_NAMES):
            self._file.execute(f"DELETE FROM {table} WHERE id = ?", (name,))  # noqa: S608 - constants

    def _lacks_owner(self, table: str) -> bool:
        query = "SELECT count(*) FROM pragma_table_info(?) WHERE name = 'owner'"
        return self._database.fetch(query, (table,)) == [(0,)]

    def _add_owners(self) -> None:
        with self._database.transaction():
            for table in filter(self._lacks_owner, _OWNED_TABLES):
                column = "owner TEXT NOT NULL DEFAULT ''"
                self._file.execute(f"ALTER TABLE {table} ADD COLUMN {column}")

    def _exists(self, query: str, *values: object) -> bool:
        return self._file.execute(query, values).fetchone() is not None

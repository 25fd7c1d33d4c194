"""Keys, enrollment and quarantine of agents: decides how a sender's batch is accepted.

The tables are in the same file as the batches, so that a batch and the status of its sender are
evaluated in one transaction. The functions run inside a transaction of the caller.
"""

import sqlite3
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from netwatch.collector.trust_weights import FirstSeen
from netwatch.model.measurement import Vantage
from netwatch.model.time import from_millis, to_millis

BATCH_LOG_VERSION = 1
"""Version of the schema of the file that holds batches, clocks and agents."""
AGENT_TABLES = """
CREATE TABLE IF NOT EXISTS vantage (id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former_key (
    id TEXT NOT NULL, key BLOB NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (id, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent (
    id TEXT PRIMARY KEY, country TEXT NOT NULL, network INTEGER NOT NULL, region TEXT NOT NULL,
    consent INTEGER NOT NULL, software TEXT NOT NULL, enrolled INTEGER NOT NULL, retired INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    id TEXT PRIMARY KEY, since INTEGER NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invitation (
    digest BLOB PRIMARY KEY, made INTEGER NOT NULL, expires INTEGER NOT NULL,
    country TEXT NOT NULL, network INTEGER NOT NULL, replaces TEXT NOT NULL, key BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (digest BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS first_seen (
    id TEXT NOT NULL, country TEXT NOT NULL, at INTEGER NOT NULL,
    vetted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (id, country)
) WITHOUT ROWID;
"""
"""Tables by agent; times are milliseconds since 1970. `former_key` holds keys that were replaced
in order, and until when a measurement signed with one may have been made; a lost key is in no
table. `erased` holds hashes of erased keys for a day, so that batches still on their way do not
create the agent again."""
_FIRST_SEEN = """
SELECT first_seen.id, first_seen.country, at, agent.id IS NOT NULL, vetted FROM first_seen
LEFT JOIN agent ON agent.id = first_seen.id AND agent.country <> ''
"""


class SenderStatus(StrEnum):
    """How a batch is treated because of its sender."""

    ACCEPTED = "accepted"
    WRONG_KEY = "wrong_key"
    RETIRED = "retired"
    QUARANTINED = "quarantined"


def check_sender(
    file: sqlite3.Connection, vantage: Vantage, key: bytes | None, *, last: int
) -> SenderStatus:
    """Return the status of the sender of a batch that `key` signed, None if unsigned.

    The first key that signs for a vantage is pinned to it. A former key stays valid for
    measurements made before it was replaced; `last` is the time of the newest one, milliseconds
    since 1970. An enrolled agent whose country or network differs from its enrollment is
    quarantined until the operator has looked at it.
    """
    name = (vantage.id,)
    pinned = file.execute("SELECT key FROM vantage WHERE id = ?", name).fetchone()
    if pinned is None and key is not None:
        query = "SELECT 1 FROM erased WHERE digest = ? AND until > unixepoch()"
        if file.execute(query, (sha256(key).digest(),)).fetchone() is not None:
            return SenderStatus.RETIRED
        file.execute("INSERT INTO vantage VALUES (?, ?)", (vantage.id, key))
    if pinned is not None and pinned[0] != key and not _was_key(file, vantage.id, key, last):
        return SenderStatus.WRONG_KEY
    query = "SELECT country, network, retired FROM agent WHERE id = ?"
    enrolled = file.execute(query, name).fetchone()
    if enrolled is not None and enrolled[2] is not None:
        return SenderStatus.RETIRED
    if file.execute("SELECT 1 FROM quarantine WHERE id = ?", name).fetchone() is not None:
        return SenderStatus.QUARANTINED
    if enrolled is not None and enrolled[:2] != (vantage.country, vantage.asn):
        return SenderStatus.QUARANTINED
    return SenderStatus.ACCEPTED


def quarantine(file: sqlite3.Connection, name: str, *, since: int, reason: str) -> None:
    """Stop counting an agent's batches; the first reason stays."""
    file.execute("INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)", (name, since, reason))


def owns_name(file: sqlite3.Connection, name: str, key: bytes | None) -> bool:
    """Return whether `key` is pinned to an agent, or no key is."""
    pinned = file.execute("SELECT key FROM vantage WHERE id = ?", (name,)).fetchone()
    return pinned is None or pinned[0] == key


def erase_agent(file: sqlite3.Connection, name: str) -> None:
    """Delete everything these tables hold about an agent."""
    query = "SELECT key FROM vantage WHERE id = ? UNION SELECT key FROM former_key WHERE id = ?"
    for (key,) in file.execute(query, (name, name)).fetchall():
        file.execute("DELETE FROM invitation WHERE key = ?", (key,))
        file.execute(
            "INSERT OR REPLACE INTO erased VALUES (?, unixepoch() + 86400)", (sha256(key).digest(),)
        )
    file.execute("DELETE FROM erased WHERE until < unixepoch()")
    file.execute("DELETE FROM invitation WHERE replaces = ?", (name,))
    for table in ("vantage", "former_key", "agent", "quarantine", "first_seen"):
        file.execute(f"DELETE FROM {table} WHERE id = ?", (name,))  # noqa: S608 - constants


def record_first_seen(file: sqlite3.Connection, vantage: Vantage, at: datetime) -> None:
    """Record when an agent was first seen in a country; later times change nothing."""
    row = (vantage.id, vantage.country, to_millis(at))
    file.execute("INSERT OR IGNORE INTO first_seen VALUES (?, ?, ?, 0)", row)


def read_first_seen(file: sqlite3.Connection) -> list[FirstSeen]:
    """Return when each agent was first seen in each country."""
    return [
        FirstSeen(name, country, from_millis(at), bool(enrolled), bool(vetted))
        for name, country, at, enrolled, vetted in file.execute(_FIRST_SEEN)
    ]


def _was_key(file: sqlite3.Connection, name: str, key: bytes | None, last: int) -> bool:
    """Return whether `key` was the agent's when its newest measurement was made."""
    query = "SELECT until FROM former_key WHERE id = ? AND key = ?"
    former = file.execute(query, (name, key)).fetchone()
    return former is not None and last <= former[0]

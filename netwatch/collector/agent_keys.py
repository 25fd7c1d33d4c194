"""Who may speak under which name: pinned keys, enrolled agents, and who is set aside.

The tables stand in the same file as the batches, so that a batch and the standing of who sent
it are judged in one transaction. The functions work inside one that the caller has opened.
"""

import sqlite3
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from netwatch.collector.trust_weights import FirstSeen
from netwatch.model.measurement import Vantage
from netwatch.model.time import EPOCH, to_millis

PINS = """
CREATE TABLE IF NOT EXISTS vantage (id TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former_key (
    id TEXT NOT NULL,
    key BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (id, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS agent (
    id TEXT PRIMARY KEY,
    country TEXT NOT NULL,
    network INTEGER NOT NULL,
    region TEXT NOT NULL,
    consent INTEGER NOT NULL,
    software TEXT NOT NULL,
    enrolled INTEGER NOT NULL,
    retired INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarantine (
    id TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invitation (
    digest BLOB PRIMARY KEY,
    made INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    country TEXT NOT NULL,
    network INTEGER NOT NULL,
    replaces TEXT NOT NULL,
    key BLOB
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS erased (digest BLOB PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arrival (
    id TEXT NOT NULL,
    country TEXT NOT NULL,
    at INTEGER NOT NULL,
    vetted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (id, country)
) WITHOUT ROWID;
"""
"""Tables by agent. `former_key` holds keys that were changed in order, and until when what
they signed may have been measured, in milliseconds since 1970; a lost key is in no table.
`erased` holds hashes of keys that were erased, for a day, so that what is still under way, or
comes from an agent that nobody has stopped yet, does not write it all down anew."""


_ARRIVALS = """
SELECT arrival.id, arrival.country, at, agent.id IS NOT NULL, vetted FROM arrival
LEFT JOIN agent ON agent.id = arrival.id AND agent.country <> ''
"""


class SenderStatus(StrEnum):
    """How a batch is to be taken, by who sent it."""

    GOOD = "good"
    STRANGER = "stranger"
    RETIRED = "retired"
    ASIDE = "aside"


def check_sender(
    file: sqlite3.Connection, vantage: Vantage, key: bytes | None, *, last: int
) -> SenderStatus:
    """Return the standing of a batch, inside a transaction.

    The first key that signs for a vantage is its key for good. Whoever speaks without it is
    a stranger, but for what a former key signed before it was changed. An enrolled agent that
    tells another country or network than it enrolled with is set aside until the operator
    has looked, and so is one under quarantine.

    Args:
        file: the collector's file.
        vantage: who the batch says it is from.
        key: who signed it, None for nobody.
        last: time of its newest measurement, milliseconds since 1970.
    """
    name = (vantage.id,)
    known = file.execute("SELECT key FROM vantage WHERE id = ?", name).fetchone()
    if known is None and key is not None and _was_erased(file, key):
        return SenderStatus.RETIRED
    if known is None and key is not None:
        file.execute("INSERT INTO vantage VALUES (?, ?)", (vantage.id, key))
    if known is not None and known[0] != key and not _was_key(file, vantage.id, key, last):
        return SenderStatus.STRANGER
    found = file.execute("SELECT country, network, retired FROM agent WHERE id = ?", name)
    enrolled = found.fetchone()
    if enrolled is not None and enrolled[2] is not None:
        return SenderStatus.RETIRED
    if file.execute("SELECT 1 FROM quarantine WHERE id = ?", name).fetchone() is not None:
        return SenderStatus.ASIDE
    if enrolled is not None and enrolled[:2] != (vantage.country, vantage.asn):
        return SenderStatus.ASIDE
    return SenderStatus.GOOD


def quarantine(file: sqlite3.Connection, name: str, *, since: int, reason: str) -> None:
    """Count nothing of an agent from now on, inside a transaction; the first reason stays."""
    file.execute("INSERT OR IGNORE INTO quarantine VALUES (?, ?, ?)", (name, since, reason))


def speaks_for(file: sqlite3.Connection, name: str, key: bytes | None) -> bool:
    """Tell whether `key` is an agent's, or nobody else's is."""
    found = file.execute("SELECT key FROM vantage WHERE id = ?", (name,)).fetchone()
    return found is None or found[0] == key


def forget_agent(file: sqlite3.Connection, name: str) -> None:
    """Delete all that stands here of an agent, and how it came, inside a transaction."""
    query = "SELECT key FROM vantage WHERE id = ? UNION SELECT key FROM former_key WHERE id = ?"
    for (key,) in file.execute(query, (name, name)).fetchall():
        file.execute("DELETE FROM invitation WHERE key = ?", (key,))
        file.execute(
            "INSERT OR REPLACE INTO erased VALUES (?, unixepoch() + 86400)", (sha256(key).digest(),)
        )
    file.execute("DELETE FROM erased WHERE until < unixepoch()")
    file.execute("DELETE FROM invitation WHERE replaces = ?", (name,))
    for table in ("vantage", "former_key", "agent", "quarantine", "arrival"):
        file.execute(f"DELETE FROM {table} WHERE id = ?", (name,))  # noqa: S608 - constants


def note_first_seen(file: sqlite3.Connection, vantage: Vantage, at: datetime) -> None:
    """Note when an agent was first heard from in a country, inside a transaction."""
    row = (vantage.id, vantage.country, to_millis(at))
    file.execute("INSERT OR IGNORE INTO arrival VALUES (?, ?, ?, 0)", row)


def read_first_seen(file: sqlite3.Connection) -> list[FirstSeen]:
    """Return every arrival that was noted."""
    return [
        FirstSeen(name, country, EPOCH + timedelta(milliseconds=at), bool(enrolled), bool(vetted))
        for name, country, at, enrolled, vetted in file.execute(_ARRIVALS)
    ]


def _was_erased(file: sqlite3.Connection, key: bytes) -> bool:
    """Tell whether the agent that had `key` was erased a short while ago."""
    query = "SELECT 1 FROM erased WHERE digest = ? AND until > unixepoch()"
    return file.execute(query, (sha256(key).digest(),)).fetchone() is not None


def _was_key(file: sqlite3.Connection, name: str, key: bytes | None, last: int) -> bool:
    """Tell whether `key` was the agent's when the newest measurement was made."""
    query = "SELECT until FROM former_key WHERE id = ? AND key = ?"
    found = file.execute(query, (name, key)).fetchone()
    return found is not None and last <= found[0]

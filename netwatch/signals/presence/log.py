"""The presence log: which agents were online when.

The collector writes it and the analysis reads it: one SQLite file in the data folder. It holds
*events* (an agent came online, was lost, or said goodbye), the *sessions* they bound, and the
spans in which the collector was listening. An event names an agent's registered country and
network, never an address.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from netwatch.model.measurement import Vantage
from netwatch.model.time import from_millis, to_millis
from netwatch.model.vantage_trust import VantageTrust
from netwatch.storage.sqlite_file import Schema, SqliteFile, SqliteStore, open_or_replace

WILL_LATENESS = timedelta(seconds=90)
"""Longest time from the last packet to the will: one and a half keep-alives of 30 s, and a will
delay of 45 s."""
_EXPECTED = timedelta(days=30)
"""How long a lost agent is expected back."""
_RETENTION = timedelta(days=60)
"""How long events are kept: twice what restarts learn loss rates from."""
_SCHEMA = Schema(
    """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY, state TEXT NOT NULL, at INTEGER NOT NULL,
    agent TEXT NOT NULL, country TEXT NOT NULL, asn INTEGER NOT NULL,
    broker TEXT NOT NULL, reason TEXT NOT NULL, masked INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS event_time ON event (at);
CREATE TABLE IF NOT EXISTS session (
    agent TEXT NOT NULL, started INTEGER NOT NULL, country TEXT NOT NULL, asn INTEGER NOT NULL,
    broker TEXT NOT NULL, boot TEXT NOT NULL, run INTEGER NOT NULL, connection INTEGER NOT NULL,
    ended INTEGER, ending TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (agent, started)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS session_end ON session (ended);
CREATE TABLE IF NOT EXISTS listening (started INTEGER PRIMARY KEY, ended INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS trust (
    agent TEXT PRIMARY KEY, weight REAL NOT NULL, owner TEXT NOT NULL
) WITHOUT ROWID;
""",
    version=1,
)
_LATEST = """
SELECT agent, country, asn, broker, boot, run, connection, max(started), ended, ending
FROM session WHERE started <= :at AND (ended IS NULL OR ended > :since) GROUP BY agent
"""
_REOPEN = """
UPDATE session SET ended = NULL, ending = '' WHERE ending = 'lost' AND ended >= ?
AND started = (SELECT max(started) FROM session AS later WHERE later.agent = session.agent)
"""


class PresenceState(StrEnum):
    """State of an agent after an event."""

    UP = "up"
    LOST = "lost"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class PresenceEvent:
    """A change of an agent's presence.

    Attributes:
        state: `up` came online, `lost` vanished, `stop` left with a goodbye.
        at: when; for `lost` the estimated time of the last packet.
        vantage: the agent, with its registered country and network.
        broker: the broker or HTTP endpoint it was connected to.
        reason: for `up` after a loss `network` (the agent ran all the time) or `restart`
            (power cut, crash or update); for `stop` the reason the agent gave.
        masked: our own side was failing, so the loss says nothing about a network.
    """

    state: PresenceState
    at: datetime
    vantage: Vantage
    broker: str = ""
    reason: str = ""
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A time in which an agent was online.

    Attributes:
        boot: identifies the run of the agent's machine.
        run, connection: counters of the agent's starts, and of the connections of each; they
            order its presence messages.
        end: when it went offline, None while it is online.
        ending: `lost` or `stop`, empty while it is online.
    """

    vantage: Vantage
    broker: str
    boot: str
    run: int
    connection: int
    start: datetime
    end: datetime | None = None
    ending: str = ""


class PresenceLog(SqliteStore):
    """The log. One process writes, any number read; each instance is used by one thread.

    Every method may raise StoreError, naming the file; then nothing was changed. With `replace_at`,
    the present, a damaged file is renamed and a new one started.
    """

    def __init__(self, path: Path, *, replace_at: datetime | None = None) -> None:
        super().__init__(
            SqliteFile(path, _SCHEMA, durable=False)
            if replace_at is None
            else open_or_replace(path, _SCHEMA, replace_at)
        )

    def opened(self, session: Session, *, reason: str = "") -> None:
        """Record the start of a session; an open session of the agent ends without an event."""
        vantage, start = session.vantage, to_millis(session.start)
        with self._database.transaction():
            self._file.execute(
                "UPDATE session SET ended = ? WHERE agent = ? AND ended IS NULL",
                (start, vantage.id),
            )
            self._file.execute(
                "INSERT OR REPLACE INTO session (agent, started, country, asn, broker, boot, run,"
                " connection) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    vantage.id, start, vantage.country, vantage.asn, session.broker,
                    session.boot, session.run, session.connection,
                ),
            )  # fmt: skip
            self._add_event(PresenceState.UP, session, start, reason=reason, masked=False)

    def closed(
        self,
        session: Session,
        state: PresenceState,
        *,
        at: datetime,
        reason: str = "",
        masked: bool = False,
    ) -> None:
        """Record the end of an open session, `lost` or by `stop`."""
        moment = max(to_millis(at), to_millis(session.start))
        with self._database.transaction():
            updated = self._file.execute(
                "UPDATE session SET ended = ?, ending = ? WHERE agent = ? AND started = ?",
                (moment, state.value, session.vantage.id, to_millis(session.start)),
            )
            # An agent that was erased in the meantime must not be recorded again.
            if updated.rowcount:
                self._add_event(state, session, moment, reason=reason, masked=masked)

    def mask(self, since: datetime) -> None:
        """Mark losses from `since` on as masked; agents that did not reconnect count as online."""
        bound = (to_millis(since),)
        with self._database.transaction():
            self._file.execute(
                "UPDATE event SET masked = 1 WHERE state = 'lost' AND at >= ?", bound
            )
            self._file.execute(_REOPEN, bound)

    def mark_listening(self, start: datetime, now: datetime) -> None:
        """Record that the collector received everything from `start` until now."""
        with self._database.transaction():
            self._file.execute(
                "INSERT INTO listening VALUES (?, ?)"
                " ON CONFLICT (started) DO UPDATE SET ended = excluded.ended",
                (to_millis(start), to_millis(now)),
            )

    def was_listening(self, start: datetime, end: datetime) -> bool:
        """Return whether the collector received everything from `start` to `end`."""
        query = "SELECT 1 FROM listening WHERE started <= ? AND ended >= ? LIMIT 1"
        return bool(self._database.fetch(query, (to_millis(start), to_millis(end))))

    def set_trust(self, weights: Mapping[str, VantageTrust]) -> None:
        """Replace what is known of the trust in every vantage, by its name."""
        rows = [(name, one.weight, one.owner) for name, one in sorted(weights.items())]
        with self._database.transaction():
            self._file.execute("DELETE FROM trust")
            self._file.executemany("INSERT INTO trust VALUES (?, ?, ?)", rows)

    def trust(self) -> dict[str, VantageTrust]:
        """Return the trust in every vantage, empty before it was ever set: then all count alike."""
        rows = self._database.fetch("SELECT agent, weight, owner FROM trust")
        return {name: VantageTrust(weight, owner) for name, weight, owner in rows}

    def events(self, start: datetime, end: datetime) -> list[PresenceEvent]:
        """Return the events with `start <= at < end`, in order of time."""
        query = (
            "SELECT state, at, agent, country, asn, broker, reason, masked FROM event"
            " WHERE at >= ? AND at < ? ORDER BY at, number"
        )
        return [
            PresenceEvent(
                PresenceState(state), from_millis(at), Vantage(agent, country, asn),
                broker, reason, masked=bool(masked),
            )
            for state, at, agent, country, asn, broker, reason, masked in self._database.fetch(
                query, (to_millis(start), to_millis(end))
            )
        ]  # fmt: skip

    def sessions(self, at: datetime) -> list[Session]:
        """Return the latest session of every agent that was online or is expected at `at`.

        A session that ended after `at` is returned as it was then: without an end.
        """
        moment = to_millis(at)
        since = to_millis(at - _EXPECTED)
        rows = self._database.fetch(_LATEST, {"at": moment, "since": since})
        return [_to_session(row, moment) for row in rows]

    def prune(self, now: datetime) -> None:
        """Delete what is past its retention."""
        bound = (to_millis(now - _RETENTION),)
        with self._database.transaction():
            self._file.execute("DELETE FROM event WHERE at < ?", bound)
            self._file.execute("DELETE FROM session WHERE ended < ?", bound)
            self._file.execute("DELETE FROM listening WHERE ended < ?", bound)

    def forget_after(self, now: datetime) -> None:
        """Delete what is dated after `now`, and date what began earlier and lasts until `now`."""
        bound = (to_millis(now),)
        with self._database.transaction():
            self._file.execute("DELETE FROM event WHERE at > ?", bound)
            # The newest session of an agent orders its messages, so it stays.
            self._file.execute(
                "UPDATE OR REPLACE session SET started = ?1 WHERE started > ?1", bound
            )
            self._file.execute("UPDATE session SET ended = ?1 WHERE ended > ?1", bound)
            self._file.execute("DELETE FROM listening WHERE started > ?", bound)
            self._file.execute("UPDATE listening SET ended = ?1 WHERE ended > ?1", bound)

    def erase(self, agent: str) -> None:
        """Delete the events and sessions of one agent, on its host's request."""
        with self._database.secure_delete() as file:
            file.execute("DELETE FROM event WHERE agent = ?", (agent,))
            file.execute("DELETE FROM session WHERE agent = ?", (agent,))
            file.execute("DELETE FROM trust WHERE agent = ?", (agent,))

    def _add_event(
        self, state: PresenceState, session: Session, moment: int, *, reason: str, masked: bool
    ) -> None:
        vantage = session.vantage
        self._file.execute(
            "INSERT INTO event (state, at, agent, country, asn, broker, reason, masked)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                state.value, moment, vantage.id, vantage.country, vantage.asn, session.broker,
                reason, masked,
            ),
        )  # fmt: skip


_Row = tuple[str, str, int, str, str, int, int, int, int | None, str]


def _to_session(row: _Row, at: int) -> Session:
    agent, country, asn, broker, boot, run, connection, start, end, ending = row
    if end is None or end > at:
        end, ending = None, ""
    return Session(
        Vantage(agent, country, asn),
        broker,
        boot,
        run,
        connection,
        from_millis(start),
        None if end is None else from_millis(end),
        ending,
    )

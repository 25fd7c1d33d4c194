"""Attendance: who was there when. The collector writes it, the analysis reads it.

This is the seam between the two processes: one SQLite file, `presence.sqlite` in the data
folder. It holds *events* (an agent came, was lost, or said goodbye), the *stays* that they
bound, and the spans in which the collector itself could hear. Whoever judges losses reads
`events` of a window that is long enough past (a will comes up to one and a half keep-alives
and its delay late, see `WILL_LATENESS`), asks `heard` whether the window says anything at
all, and hands the events to `replay_into`. The series `agents` is `count_agents`: agents
present out of agents expected, by country and by network.

An event names an agent's registered country and network, never an address.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Self

from netwatch.model.entities import Entity, EntityKind
from netwatch.model.measurement import Vantage
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.model.time import from_millis, to_millis
from netwatch.storage.sqlite_file import Schema, SqliteFile

if TYPE_CHECKING:
    from netwatch.signals.presence.bursts import DisconnectMonitor


PRESENCE_FILE = "presence.sqlite"
"""Name of the log in the data folder."""
WILL_LATENESS = timedelta(seconds=90)
"""A will comes at most so long after the last packet: one and a half keep-alives of 30 s, and
45 s of will delay."""
_EXPECTED = timedelta(days=30)
"""An agent that was lost is expected back for so long."""
_KEPT = timedelta(days=60)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS event (
    number INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    at INTEGER NOT NULL,
    agent TEXT NOT NULL,
    country TEXT NOT NULL,
    asn INTEGER NOT NULL,
    broker TEXT NOT NULL,
    reason TEXT NOT NULL,
    masked INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS event_time ON event (at);
CREATE TABLE IF NOT EXISTS stay (
    agent TEXT NOT NULL,
    start INTEGER NOT NULL,
    country TEXT NOT NULL,
    asn INTEGER NOT NULL,
    broker TEXT NOT NULL,
    boot TEXT NOT NULL,
    life INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    finish INTEGER,
    ending TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (agent, start)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS stay_end ON stay (finish);
CREATE TABLE IF NOT EXISTS span (start INTEGER PRIMARY KEY, finish INTEGER NOT NULL);
"""
_LATEST = """
SELECT agent, country, asn, broker, boot, life, connection, max(start), finish, ending FROM stay
WHERE start <= :at AND (finish IS NULL OR finish > :since) GROUP BY agent
"""
_REOPEN = """
UPDATE stay SET finish = NULL, ending = '' WHERE ending = 'lost' AND finish >= ?
AND start = (SELECT max(start) FROM stay AS later WHERE later.agent = stay.agent)
"""


class PresenceState(StrEnum):
    """What an agent is, or says that it is."""

    UP = "up"
    LOST = "lost"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class AttendanceEvent:
    """One agent came or went.

    Attributes:
        state: `up` came, `lost` vanished, `stop` left with a goodbye.
        at: when; for `lost` the time of the last packet, as nearly as we know.
        vantage: the agent, with its registered country and network.
        broker: through which broker or door it was connected.
        reason: for `up` after a loss `network` (it ran all the while) or `restart` (it did
            not: power, crash or update); for `stop` what it said.
        masked: the loss says nothing about a network: our own side was failing.
    """

    state: PresenceState
    at: datetime
    vantage: Vantage
    broker: str = ""
    reason: str = ""
    masked: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A time in which an agent was there.

    Attributes:
        vantage, broker: as in `AttendanceEvent`.
        boot: which run of its machine it was.
        life, connection: count the agent's starts and, in each, its connections; together
            they order what it says about itself.
        start: when it came.
        end: when it went, None while it is there.
        ending: `lost` or `stop`, empty while it is there.
    """

    vantage: Vantage
    broker: str
    boot: str
    life: int
    connection: int
    start: datetime
    end: datetime | None = None
    ending: str = ""


class PresenceLog:
    """The log. One process writes, any number read; each instance is used by one thread.

    Every method may raise StoreError, naming the file; then nothing was changed.
    """

    def __init__(self, path: Path) -> None:
        self._database = SqliteFile(path, Schema(_SCHEMA), durable=False)
        self._file = self._database.connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def came(self, stay: Session, *, reason: str = "") -> None:
        """Note that an agent came; a stay of it that was open ends there without an event."""
        vantage, start = stay.vantage, to_millis(stay.start)
        row = (vantage.id, start, vantage.country, vantage.asn, stay.broker)
        with self._database.transaction():
            self._file.execute(
                "UPDATE stay SET finish = ? WHERE agent = ? AND finish IS NULL", (start, vantage.id)
            )
            self._file.execute(
                "INSERT OR REPLACE INTO stay (agent, start, country, asn, broker, boot, life,"
                " connection) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, stay.boot, stay.life, stay.connection),
            )
            self._note(PresenceState.UP, stay, start, reason=reason, masked=False)

    def went(
        self,
        stay: Session,
        state: PresenceState,
        *,
        at: datetime,
        reason: str = "",
        masked: bool = False,
    ) -> None:
        """Note that the agent of an open stay went, `lost` or by `stop`."""
        moment = max(to_millis(at), to_millis(stay.start))
        with self._database.transaction():
            found = self._file.execute(
                "UPDATE stay SET finish = ?, ending = ? WHERE agent = ? AND start = ?",
                (moment, state.value, stay.vantage.id, to_millis(stay.start)),
            )
            # Who was erased meanwhile is not written down again.
            if found.rowcount:
                self._note(state, stay, moment, reason=reason, masked=masked)

    def mask(self, since: datetime) -> None:
        """Say of the losses from `since` on that our own side was failing.

        As far as we know those agents, where they have not come back since, are still there.
        """
        bound = (to_millis(since),)
        with self._database.transaction():
            self._file.execute(
                "UPDATE event SET masked = 1 WHERE state = 'lost' AND at >= ?", bound
            )
            self._file.execute(_REOPEN, bound)

    def listen(self, start: datetime, now: datetime) -> None:
        """Note that the collector has heard everything from `start` until now."""
        with self._database.transaction():
            self._file.execute(
                "INSERT INTO span VALUES (?, ?)"
                " ON CONFLICT (start) DO UPDATE SET finish = excluded.finish",
                (to_millis(start), to_millis(now)),
            )

    def heard(self, start: datetime, end: datetime) -> bool:
        """Tell whether the collector heard everything from `start` to `end`."""
        with self._database.translate_errors():
            query = "SELECT 1 FROM span WHERE start <= ? AND finish >= ? LIMIT 1"
            found = self._file.execute(query, (to_millis(start), to_millis(end)))
            return found.fetchone() is not None

    def events(self, start: datetime, end: datetime) -> list[AttendanceEvent]:
        """Return the events with `start <= at < end`, in the order of their times."""
        query = (
            "SELECT state, at, agent, country, asn, broker, reason, masked FROM event"
            " WHERE at >= ? AND at < ? ORDER BY at, number"
        )
        with self._database.translate_errors():
            found = self._file.execute(query, (to_millis(start), to_millis(end)))
            rows = found.fetchall()
        return [
            AttendanceEvent(
                PresenceState(state), from_millis(at), Vantage(agent, country, asn),
                broker, reason, masked=bool(masked),
            )
            for state, at, agent, country, asn, broker, reason, masked in rows
        ]  # fmt: skip

    def stays(self, at: datetime) -> list[Session]:
        """Return the latest stay of every agent that was or is expected at `at`.

        A stay that ended after `at` is returned as it was then: without an end.
        """
        moment = to_millis(at)
        place = {"at": moment, "since": to_millis(at - _EXPECTED)}
        with self._database.translate_errors():
            rows = self._file.execute(_LATEST, place).fetchall()
        return [_stay(row, moment) for row in rows]

    def forget(self, now: datetime) -> None:
        """Delete what is too old to matter."""
        bound = (to_millis(now - _KEPT),)
        with self._database.transaction():
            self._file.execute("DELETE FROM event WHERE at < ?", bound)
            self._file.execute("DELETE FROM stay WHERE finish < ?", bound)
            self._file.execute("DELETE FROM span WHERE finish < ?", bound)

    def erase(self, agent: str) -> None:
        """Forget when one agent came and went, since its host wishes it."""
        with self._database.secure_delete() as file:
            for table in ("event", "stay"):
                file.execute(f"DELETE FROM {table} WHERE agent = ?", (agent,))  # noqa: S608 - constants

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _note(
        self, state: PresenceState, stay: Session, moment: int, *, reason: str, masked: bool
    ) -> None:
        """Write an event, inside a transaction."""
        vantage = stay.vantage
        self._file.execute(
            "INSERT INTO event (state, at, agent, country, asn, broker, reason, masked)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                state.value, moment, vantage.id, vantage.country, vantage.asn, stay.broker,
                reason, masked,
            ),
        )  # fmt: skip


def count_agents(attendance: PresenceLog, start: datetime, end: datetime) -> list[Bin]:
    """Return one bin from `start` to `end` for each country and network that agents are in.

    The value is how many were there at its end, the total how many were expected: all who
    were there in the last 30 days and did not say goodbye. Empty where we could not hear.
    """
    if not attendance.heard(start, end):
        return []
    counts: dict[Entity, list[int]] = {}
    for stay in attendance.stays(end):
        if stay.ending == PresenceState.STOP:
            continue
        for entity in _entities(stay.vantage):
            count = counts.setdefault(entity, [0, 0])
            count[0] += stay.end is None
            count[1] += 1
    return [
        Bin(start, SeriesKey(AGENTS, entity), float(present), float(expected))
        for entity, (present, expected) in sorted(counts.items())
    ]


def replay_into(bursts: "DisconnectMonitor", events: Iterable[AttendanceEvent]) -> None:
    """Let `bursts` see `events`, which come in order of time; masked losses are none."""
    for event in events:
        if event.state is PresenceState.UP:
            bursts.up(event.vantage, broker=event.broker, at=event.at)
        elif event.state is PresenceState.LOST and not event.masked:
            bursts.lost(event.vantage.id, last_packet=event.at)
        else:
            bursts.stopped(event.vantage.id)


def _entities(vantage: Vantage) -> Sequence[Entity]:
    """Return the country and the network of a vantage, as far as they are known."""
    found = []
    if vantage.country:
        found.append(Entity(EntityKind.COUNTRY, vantage.country))
    if vantage.asn:
        found.append(Entity(EntityKind.ASN, str(vantage.asn)))
    return found


_Row = tuple[str, str, int, str, str, int, int, int, int | None, str]


def _stay(row: _Row, at: int) -> Session:
    """Return a row as the stay that it was at `at`."""
    agent, country, asn, broker, boot, life, connection, start, finish, ending = row
    over = finish is not None and finish <= at
    return Session(
        Vantage(agent, country, asn),
        broker,
        boot,
        life,
        connection,
        from_millis(start),
        from_millis(finish) if over and finish is not None else None,
        ending if over else "",
    )

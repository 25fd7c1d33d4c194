"""Tables of what is known of agents over time: first seen, countries measured, and proofs by day.

They are in the file of batches and agents, and erased with the agent.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from netwatch.collector.agreement import Caught
from netwatch.collector.canary import CanaryCheck
from netwatch.collector.proof import AGREEMENT_MEMORY, PROOF_MEMORY, Proof, is_lie, proves
from netwatch.collector.trust_weights import FirstSeen
from netwatch.collector.turned_groups import AgentDay, turned_groups
from netwatch.model.measurement import Vantage
from netwatch.model.time import floor_time, from_millis, to_millis
from netwatch.model.vantage_trust import OPEN_OWNER
from netwatch.storage.sqlite_file import SqliteStore

TRUST_TABLES = """
CREATE TABLE IF NOT EXISTS first_seen (
    id TEXT NOT NULL, country TEXT NOT NULL, at INTEGER NOT NULL,
    vetted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (id, country)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS vetted ON first_seen (id) WHERE vetted = 1;
CREATE TABLE IF NOT EXISTS measured (
    id TEXT NOT NULL, place TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (id, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS proof (
    id TEXT NOT NULL, day INTEGER NOT NULL, days INTEGER NOT NULL, lied INTEGER NOT NULL,
    correct BLOB NOT NULL, wrong BLOB NOT NULL,
    falls REAL NOT NULL, caught_falls REAL NOT NULL,
    rises REAL NOT NULL, caught_rises REAL NOT NULL, PRIMARY KEY (id, day)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS judged (only INTEGER PRIMARY KEY, until INTEGER NOT NULL);
"""
"""`measured` is when an agent measured which country, whatever it claims. `proof` has a row for
each of the last thirty days on which an agent was judged, and one with day 0 for all before. Bit m
of `correct` and `wrong` tells of the canaries in the interval that begins in minute m of the day,
so that an interval that is counted again counts once; one with a wrong answer is never right.
`judged` is the time until which agreement was judged."""
TRUST_TABLE_NAMES = ("first_seen", "measured", "proof")
"""Tables with a column `id`."""
_MEASURED = """
INSERT INTO measured SELECT ?1, ?2, ?3, ?3 WHERE EXISTS (SELECT 1 FROM first_seen WHERE id = ?1)
ON CONFLICT (id, place) DO UPDATE
SET first = min(first, excluded.first), last = max(last, excluded.last)
"""
_ADD_PROOF = """
INSERT INTO proof SELECT ?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9
WHERE EXISTS (SELECT 1 FROM first_seen WHERE id = ?1) ON CONFLICT (id, day) DO UPDATE
SET days = max(days, excluded.days),
    correct = excluded.correct, wrong = excluded.wrong,
    falls = falls + excluded.falls, caught_falls = caught_falls + excluded.caught_falls,
    rises = rises + excluded.rises, caught_rises = caught_rises + excluded.caught_rises
"""
_SUM_OLD = """
INSERT INTO proof SELECT id, 0, sum(days), 0, x'', x'', 0, 0, 0, 0 FROM proof
WHERE day > 0 AND day < ? GROUP BY id
ON CONFLICT (id, day) DO UPDATE SET days = days + excluded.days
"""
_TURNED, _LIED = 1, 2
"""Values of `lied`; the larger one stands."""
_MARK = "UPDATE proof SET lied = max(lied, ?) WHERE id = ? AND day = ?"
_AGENT_DAYS = """
SELECT proof.id, coalesce(nullif(owner, ''), ''), coalesce(network, 0), coalesce(software, ''),
    (SELECT min(at) FROM first_seen WHERE first_seen.id = proof.id),
    sum(falls * (day = :day)), sum(caught_falls * (day = :day)),
    sum(rises * (day = :day)), sum(caught_rises * (day = :day)),
    sum(falls * (day < :day)), sum(caught_falls * (day < :day)),
    sum(rises * (day < :day)), sum(caught_rises * (day < :day))
FROM proof LEFT JOIN agent ON agent.id = proof.id
WHERE day BETWEEN :start AND :day GROUP BY proof.id
"""
_PROOFS = """
SELECT id, sum(days * (day < :day)), max(lied), sum(falls * recent), sum(caught_falls * recent),
    sum(rises * recent), sum(caught_rises * recent)
FROM (SELECT *, day >= :recent AND day < :day AS recent FROM proof)
WHERE day = 0 OR day BETWEEN :start AND :day GROUP BY id
"""
_GRANT = """
INSERT OR IGNORE INTO proof
SELECT id, 0, max(:now - min(at), 0) / 86400000, 0, x'', x'', 0, 0, 0, 0 FROM first_seen GROUP BY id
"""
_FIRST_SEEN = """
SELECT first_seen.id, first_seen.country, at,
    CASE WHEN agent.id IS NULL THEN ? ELSE coalesce(nullif(owner, ''), '@' || agent.id) END,
    vetted, key,
    (SELECT group_concat(place) FROM measured WHERE measured.id = first_seen.id),
    retired IS NULL AND NOT EXISTS (SELECT 1 FROM quarantine WHERE quarantine.id = first_seen.id)
FROM first_seen LEFT JOIN vantage ON vantage.id = first_seen.id
LEFT JOIN agent ON agent.id = first_seen.id AND agent.country <> ''
"""
_INVITED = """
SELECT id FROM agent WHERE country <> '' UNION ALL SELECT id FROM first_seen WHERE vetted = 1
"""
_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


class TrustTables(SqliteStore):
    """Base of the classes that use the tables of agents. Methods may raise StoreError."""

    def first_seen(
        self,
        own_keys: Collection[bytes] = (),
        *,
        at: datetime | None = None,
        with_open: bool = True,
    ) -> list[FirstSeen]:
        """Return when each agent was first seen in each country, and what it has proved since.

        A vantage that signs with one of `own_keys` is the observatory's own and is no agent.
        Proofs are those of the days before that of `at`, and lies also of that day; without it
        they are unknown. Agents that were neither invited nor released may be millions, since
        keys are free: `with_open` tells whether they are returned.
        """
        which = "" if with_open else f"WHERE first_seen.id IN ({_INVITED})"
        query = _FIRST_SEEN + which
        rows = self._database.fetch(query, (OPEN_OWNER,))
        proofs = {} if at is None else self._proofs(at)
        unproved = None if at is None else Proof()
        return [
            FirstSeen(
                name, country, from_millis(since), owner, bool(vetted),
                frozenset((places or "").split(",")), bool(is_active),
                proofs.get(name, unproved),
            )
            for name, country, since, owner, vetted, key, places, is_active in rows
            if key not in own_keys
        ]  # fmt: skip

    def may_count(self, own_keys: Collection[bytes]) -> set[str]:
        """Return who is invited, released, or one of the observatory's own vantages."""
        return self.names_of(own_keys).union(name for (name,) in self._database.fetch(_INVITED))

    def is_invited(self, name: str) -> bool:
        """Return whether an agent is invited or released."""
        query = f"SELECT 1 FROM ({_INVITED}) WHERE id = ?"  # noqa: S608 - constants
        return bool(self._database.fetch(query, (name,)))

    def names_of(self, keys: Collection[bytes]) -> set[str]:
        """Return the names to which one of `keys` is pinned."""
        query = "SELECT id FROM vantage WHERE key = ?"
        return {name for key in keys for (name,) in self._database.fetch(query, (key,))}

    def record_places(self, measured: Iterable[tuple[str, str]], at: datetime) -> None:
        """Record the places that vantages measured at `at`, each by its name."""
        time = to_millis(at)
        with self._database.transaction():
            rows = [(name, place, time) for name, place in sorted(measured)]
            self._file.executemany(_MEASURED, rows)

    def measured(self, start: datetime, end: datetime) -> list[tuple[str, str]]:
        """Return names and places: who measured what between two times, or before and after."""
        query = "SELECT id, place FROM measured WHERE first < ? AND last >= ?"
        return self._database.fetch(query, (to_millis(end), to_millis(start)))

    def judged_until(self) -> datetime | None:
        """Return the time until which agreement was judged, None before the first time."""
        rows = self._database.fetch("SELECT until FROM judged")
        return from_millis(rows[0][0]) if rows else None

    def record_proofs(
        self,
        at: datetime,
        canaries: Mapping[str, CanaryCheck],
        caught: Mapping[str, Caught],
        *,
        judged_until: datetime | None,
    ) -> None:
        """Add what agents proved at `at`, by name; `judged_until` is kept if it is given.

        Agents of a file from before there were proofs have proved themselves all their time.
        """
        day = to_millis(floor_time(at, _DAY))
        bit = 1 << (at - floor_time(at, _DAY)) // _MINUTE
        nothing, unseen = CanaryCheck(), Caught()
        with self._database.transaction():
            if not self._file.execute("SELECT 1 FROM judged").fetchone():
                self._file.execute(_GRANT, {"now": to_millis(at)})
            for name in canaries.keys() | caught.keys():
                check, one = canaries.get(name, nothing), caught.get(name, unseen)
                right, wrong = self._canary_bits(name, day)
                wrong |= bit * (check.wrong > 0)
                right = (right | bit * (check.right > 0)) & ~wrong
                intervals = CanaryCheck(right.bit_count(), wrong.bit_count())
                counts = (_packed(right), _packed(wrong), one.falls, one.caught_falls)
                row = (name, day, proves(intervals, one), *counts, one.rises, one.caught_rises)
                self._file.execute(_ADD_PROOF, row)
                if check.wrong and is_lie(intervals):
                    self._file.execute(_MARK, (_LIED, name, day))
            if judged_until is not None:
                statement = "INSERT OR REPLACE INTO judged VALUES (1, ?)"
                self._file.execute(statement, (to_millis(judged_until),))

    def judge_groups(self, at: datetime) -> Mapping[str, frozenset[str]]:
        """Mark the agents that turned together on the day of `at`; return them by group."""
        day = floor_time(at, _DAY)
        span = {"start": to_millis(day - AGREEMENT_MEMORY), "day": to_millis(day)}
        groups = turned_groups(map(_agent_day, self._database.fetch(_AGENT_DAYS, span)))
        names = sorted({name for group in groups.values() for name in group})
        with self._database.transaction():
            self._file.executemany(_MARK, [(_TURNED, name, to_millis(day)) for name in names])
        return groups

    def sum_old_proofs(self, at: datetime) -> None:
        """Keep of all proofs older than thirty days at `at` only the number of days."""
        bound = (to_millis(floor_time(at, _DAY) - PROOF_MEMORY),)
        with self._database.transaction():
            self._file.execute(_SUM_OLD, bound)
            self._file.execute("DELETE FROM proof WHERE day > 0 AND day < ?", bound)

    def _canary_bits(self, name: str, day: int) -> tuple[int, int]:
        query = "SELECT correct, wrong FROM proof WHERE id = ? AND day = ?"
        right, wrong = self._file.execute(query, (name, day)).fetchone() or (b"", b"")
        return int.from_bytes(right), int.from_bytes(wrong)

    def _proofs(self, at: datetime) -> dict[str, Proof]:
        day = floor_time(at, _DAY)
        span = {
            "start": to_millis(day - PROOF_MEMORY),
            "recent": to_millis(day - AGREEMENT_MEMORY),
            "day": to_millis(day),
        }
        return {
            name: Proof(int(days), lied == _LIED, Caught(*counts), has_turned=lied == _TURNED)
            for name, days, lied, *counts in self._database.fetch(_PROOFS, span)
        }

    def _record_first_seen(self, vantage: Vantage, at: datetime) -> None:
        """Record when an agent was first seen in a country; later times change nothing."""
        row = (vantage.id, vantage.country, to_millis(at))
        self._file.execute("INSERT OR IGNORE INTO first_seen VALUES (?, ?, ?, 0)", row)


def _packed(bits: int) -> bytes:
    return bits.to_bytes((bits.bit_length() + 7) // 8)


def _agent_day(row: tuple[str, str, int, str, int, *tuple[float, ...]]) -> AgentDay:
    """Return one agent's agreement with the groups that it is in, as far as they are known."""
    name, owner, network, software, seen, *counts = row
    week = from_millis(seen).date().isocalendar() if seen else None
    groups = {
        f"owner {owner}": owner,
        f"network AS{network}": network,
        f"software {software}": software,
        f"those first seen in week {week.week} of {week.year}" if week else "": week,
    }
    known = frozenset(group for group, value in groups.items() if value)
    return AgentDay(name, known, Caught(*counts[:4]), Caught(*counts[4:]))

"""Closed bins that got new data, to be counted again: at once, or in the background beyond a limit.

Counting a bin again reads everything measured in it, and a batch of 200 bytes can name thousands
of bins. So each agent has a daily allowance of bins that are counted again at once. Those beyond it
wait, one entry a bin for all agents, and are worked off one by one: late, but never lost.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from netwatch.model.time import from_millis, to_millis
from netwatch.storage.sqlite_file import SqliteFile

LATE_TABLES = """
CREATE TABLE IF NOT EXISTS late (time INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS late_waiting (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS late_sender (
    time INTEGER NOT NULL, agent TEXT NOT NULL, PRIMARY KEY (time, agent)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS late_allowance (
    account TEXT PRIMARY KEY, day INTEGER NOT NULL, used INTEGER NOT NULL
) WITHOUT ROWID;
"""
"""`late` bins are counted again at once, `late_waiting` ones in order of `number`;
`late_sender` says of which agents they got new data, the first ones. `used` counts the bins that an
account has added to `late` on its last `day`, days since 1970."""

AGENT_BINS_PER_DAY = 2_000
"""Bins that one agent has counted again at once in a day: of five minutes, those of a week."""
OPEN_BINS_PER_DAY = 20_000
"""The same for all agents together that never enrolled, since their names cost nothing."""
_MAX_SENDERS = 20
"""Agents that are named for one late bin; invented names would fill the disk."""
_OPEN = "*"
"""The account of all agents that never enrolled; no agent can have this name."""
_DAY_MS = 86_400_000


class LateBins:
    """The tables of late bins, in the file and inside the transactions of the batch log."""

    def __init__(self, database: SqliteFile) -> None:
        self._database = database
        self._file = database.connection
        self._seen_version = self._data_version()

    def mark(self, times: Iterable[int], agent: str, *, is_counted: bool, now_ms: int) -> int:
        """Record that bins, by their starts, got new data of an agent; return how many must wait.

        The newest are counted first. Times are milliseconds since 1970.
        """
        accounts = {agent: AGENT_BINS_PER_DAY}
        if not is_counted:
            accounts[_OPEN] = OPEN_BINS_PER_DAY
        day = now_ms // _DAY_MS
        used = {account: self._used(account, day) for account in accounts}
        chosen = sorted(times, reverse=True)
        rest = [(time,) for time in chosen]
        added = 0
        while (
            rest and (room := min(most - used[one] for one, most in accounts.items()) - added) > 0
        ):
            added += self._insert("INSERT OR IGNORE INTO late VALUES (?)", rest[:room])
            rest = rest[room:]
        query = "SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM late WHERE time = ?1)"
        waiting = self._insert(f"INSERT OR IGNORE INTO late_waiting (time) {query}", rest)
        query = "SELECT count(*) FROM late_sender WHERE time = ?1"
        self._file.executemany(
            f"INSERT OR IGNORE INTO late_sender SELECT ?1, ?2 WHERE ({query}) < {_MAX_SENDERS}",
            [(time, agent) for time in chosen],
        )
        if added:
            rows = [(account, day, used[account] + added) for account in accounts]
            query = "INSERT OR REPLACE INTO late_allowance VALUES (?, ?, ?)"
            self._file.executemany(query, rows)
        return waiting

    def mark_all(self, times: Iterable[int]) -> None:
        """Record that bins, by their starts, got new data by the operator's order."""
        rows = [(time,) for time in sorted(times)]
        self._file.executemany("INSERT OR IGNORE INTO late VALUES (?)", rows)

    def last_day_ms(self) -> int:
        """Return the start of the last day in which an agent used its allowance."""
        row = self._file.execute("SELECT coalesce(max(day), 0) FROM late_allowance").fetchone()
        return int(row[0]) * _DAY_MS

    def read(self) -> list[datetime]:
        """Return the starts of the bins to count again now: `late`, and one of `late_waiting`."""
        with self._database.translate_errors():
            self._seen_version = self._data_version()
        rows = self._database.fetch(
            "SELECT time FROM late UNION SELECT * FROM"
            " (SELECT time FROM late_waiting ORDER BY number LIMIT 1) ORDER BY time"
        )
        return [from_millis(time) for (time,) in rows]

    def senders(self, time: datetime) -> set[str]:
        """Return the agents of which a bin got new data since it was counted."""
        query = "SELECT agent FROM late_sender WHERE time = ?"
        return {agent for (agent,) in self._database.fetch(query, (to_millis(time),))}

    def clear(self, times: Sequence[datetime]) -> None:
        """Record that late bins were counted again.

        If another process has written since `read`, they stay late: its data was not counted.
        """
        with self._database.transaction():
            if self._data_version() != self._seen_version:
                return
            rows = [(to_millis(time),) for time in times]
            self._file.executemany("DELETE FROM late WHERE time = ?", rows)
            self._file.executemany("DELETE FROM late_waiting WHERE time = ?", rows)
            self._file.executemany("DELETE FROM late_sender WHERE time = ?", rows)

    def erase(self, agent: str) -> None:
        """Delete what is stored about an agent."""
        self._file.execute("DELETE FROM late_allowance WHERE account = ?", (agent,))
        self._file.execute("DELETE FROM late_sender WHERE agent = ?", (agent,))

    def _insert(self, query: str, rows: Sequence[tuple[int]]) -> int:
        """Return how many rows are new."""
        before = self._file.total_changes
        self._file.executemany(query, rows)
        return self._file.total_changes - before

    def _used(self, account: str, day: int) -> int:
        query = "SELECT used FROM late_allowance WHERE account = ? AND day = ?"
        row = self._file.execute(query, (account, day)).fetchone()
        return 0 if row is None else int(row[0])

    def _data_version(self) -> int:
        """Return a number that changes when another connection writes to the file."""
        return int(self._file.execute("PRAGMA data_version").fetchone()[0])


def bin_starts(ranges: Iterable[tuple[int, int]], *, before: int, width: timedelta) -> set[int]:
    """Return the starts of the bins of `width` that lie in time ranges and before a bound.

    Times are milliseconds since 1970; a range that ends at 0 is that of a batch without any time.
    """
    step = width // timedelta(milliseconds=1)
    return {
        start
        for first, last in ranges
        if last
        for start in range(first - first % step, min(last + 1, before), step)
    }

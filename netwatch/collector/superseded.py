"""Ranges of sequences whose batches no longer count, since an agent merged them into later ones.

The ranges of one agent are disjoint, so looking up a sequence costs the same however many there
are.
"""

import sqlite3
from collections.abc import Iterable
from itertools import takewhile

from netwatch.wire.ack import merge_ranges

SUPERSEDED_TABLES = """
CREATE TABLE IF NOT EXISTS superseded_range (
    vantage TEXT NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL,
    PRIMARY KEY (vantage, high)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS superseding (
    vantage TEXT NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, width INTEGER NOT NULL
);
"""
"""`superseding` holds the first and last sequence between which stored batches that are superseded
may still count, in bins of `width` milliseconds."""
_MAX_RANGES = 5_000
"""Ranges that are kept of one agent, the newest. The agent has deleted what they hold, so an old
range only matters while such a batch is still on its way."""
_FORMER_TABLE = "superseded"
"""The table of earlier versions, whose ranges may overlap."""


class SupersededRanges:
    """The ranges of every agent, inside the transactions of the batch log."""

    def __init__(self, file: sqlite3.Connection) -> None:
        self._file = file

    def contains(self, agent: str, sequence: int) -> bool:
        """Return whether a sequence of an agent is superseded."""
        start = self.next_start(agent, sequence)
        return start is not None and start <= sequence

    def next_start(self, agent: str, sequence: int) -> int | None:
        """Return the start of the first range that ends at or after a sequence, None without."""
        query = "SELECT low FROM superseded_range WHERE vantage = ? AND high >= ? ORDER BY high"
        found = self._file.execute(f"{query} LIMIT 1", (agent, sequence)).fetchone()
        return None if found is None else int(found[0])

    def add(self, agent: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Add inclusive ranges, merged with those that they overlap or continue."""
        new = merge_ranges(ranges)
        touched = self._between(agent, new[0][0] - 1, new[-1][1] + 1)
        merged = set(merge_ranges([*touched, *new]))
        delete = "DELETE FROM superseded_range WHERE vantage = ? AND high = ?"
        self._file.executemany(delete, [(agent, one[1]) for one in touched if one not in merged])
        insert = "INSERT INTO superseded_range (vantage, low, high) VALUES (?, ?, ?)"
        self._file.executemany(insert, [(agent, *one) for one in merged.difference(touched)])
        chosen = "SELECT high FROM superseded_range WHERE vantage = ? ORDER BY high DESC"
        oldest = f"({chosen} LIMIT 1 OFFSET {_MAX_RANGES})"
        query = f"DELETE FROM superseded_range WHERE vantage = ? AND high <= {oldest}"  # noqa: S608 - constants
        self._file.execute(query, (agent, agent))

    def postpone(self, agent: str, low: int, high: int, width: int) -> None:
        """Have the rest of an agent's stored batches looked at later, after those of others.

        One entry an agent is kept, over all of its sequences that are postponed.
        """
        query = "SELECT low, high FROM superseding WHERE vantage = ?"
        known = [(low, high), *self._file.execute(query, (agent,)).fetchall()]
        self._file.execute("DELETE FROM superseding WHERE vantage = ?", (agent,))
        row = (agent, min(one[0] for one in known), max(one[1] for one in known), width)
        self._file.execute("INSERT INTO superseding VALUES (?, ?, ?, ?)", row)

    def take_postponed(self) -> tuple[str, int, int, int] | None:
        """Remove and return what was postponed longest: an agent, two sequences, and the width."""
        query = "SELECT rowid, * FROM superseding ORDER BY rowid LIMIT 1"
        found = self._file.execute(query).fetchone()
        if found is None:
            return None
        number, agent, low, high, width = found
        self._file.execute("DELETE FROM superseding WHERE rowid = ?", (number,))
        return str(agent), int(low), int(high), int(width)

    def erase(self, agent: str) -> None:
        """Delete the ranges of an agent."""
        for table in ("superseded_range", "superseding"):
            self._file.execute(f"DELETE FROM {table} WHERE vantage = ?", (agent,))  # noqa: S608 - constants

    def adopt_former_table(self) -> None:
        """Move the ranges that an earlier version stored."""
        query = "SELECT 1 FROM sqlite_master WHERE name = ?"
        if self._file.execute(query, (_FORMER_TABLE,)).fetchone() is None:
            return
        rows = self._file.execute(f"SELECT vantage, low, high FROM {_FORMER_TABLE}").fetchall()  # noqa: S608 - a constant
        for agent, low, high in rows:
            self.add(agent, [(low, high)])
        self._file.execute(f"DROP TABLE {_FORMER_TABLE}")

    def _between(self, agent: str, low: int, high: int) -> list[tuple[int, int]]:
        """Return the ranges that hold a sequence of an inclusive range."""
        query = "SELECT low, high FROM superseded_range WHERE vantage = ? AND high >= ?"
        rows = self._file.execute(f"{query} ORDER BY high", (agent, low))
        return list(takewhile(lambda known: known[0] <= high, rows))

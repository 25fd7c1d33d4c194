"""Ranges of sequences whose batches no longer count, since an agent merged them into later ones.

The ranges of one agent are disjoint, so looking up a sequence costs the same however many there
are.
"""

import sqlite3
from collections.abc import Iterable

SUPERSEDED_TABLES = """
CREATE TABLE IF NOT EXISTS superseded_range (
    vantage TEXT NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL,
    PRIMARY KEY (vantage, high)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS superseding (
    vantage TEXT NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, width INTEGER NOT NULL
);
"""
"""`superseding` holds ranges of which stored batches may still count, in bins of `width`
milliseconds."""
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
        query = "SELECT low FROM superseded_range WHERE vantage = ? AND high >= ? ORDER BY high"
        found = self._file.execute(f"{query} LIMIT 1", (agent, sequence)).fetchone()
        return found is not None and found[0] <= sequence

    def add(self, agent: str, ranges: Iterable[tuple[int, int]]) -> None:
        """Add inclusive ranges, merged with those that they overlap or continue."""
        for low, high in ranges:
            row = (agent, *self._absorb(agent, low, high))
            insert = "INSERT INTO superseded_range (vantage, low, high) VALUES (?, ?, ?)"
            self._file.execute(insert, row)
        chosen = "SELECT high FROM superseded_range WHERE vantage = ? ORDER BY high DESC"
        oldest = f"({chosen} LIMIT 1 OFFSET {_MAX_RANGES})"
        query = f"DELETE FROM superseded_range WHERE vantage = ? AND high <= {oldest}"  # noqa: S608 - constants
        self._file.execute(query, (agent, agent))

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

    def _absorb(self, agent: str, low: int, high: int) -> tuple[int, int]:
        """Delete the ranges that touch a new one; return the range that replaces them."""
        query = "SELECT low, high FROM superseded_range WHERE vantage = ? AND high >= ?"
        touched = []
        for known in self._file.execute(f"{query} ORDER BY high", (agent, low - 1)):
            if known[0] > high + 1:
                break
            touched.append(known)
        delete = "DELETE FROM superseded_range WHERE vantage = ? AND high = ?"
        self._file.executemany(delete, [(agent, known[1]) for known in touched])
        return (
            min(low, *(known[0] for known in touched), high),
            max(high, *(known[1] for known in touched), low),
        )

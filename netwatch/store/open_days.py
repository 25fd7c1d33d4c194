"""The open days: blocks in SQLite, keyed by time, then block."""

import sqlite3
from collections.abc import Collection

import numpy as np

from netwatch.store.blocks import SIZE, cell_of, decode, encode, is_sound, merge
from netwatch.store.database import Table
from netwatch.store.moments import DAY
from netwatch.store.rows import Rows

_HOP = """
with recursive moment (time) as (
    select min(time) from @ where time >= ?1
    union all
    select (select min(later.time) from @ as later where later.time > moment.time)
    from moment where moment.time < ?2
)
select rows.time, rows.block, rows.data
from moment cross join @ as rows on rows.time = moment.time and rows.block between ?3 and ?4
where moment.time < ?2
"""
"""Hops from time to time instead of reading all blocks between."""


def write_rows(connection: sqlite3.Connection, table: Table, rows: Rows) -> None:
    """Write settled `rows`; where a (time, series) is there already, the new one stands."""
    blocks = list(encode(rows))
    if not blocks:
        return
    there = _present(connection, table, blocks)
    connection.executemany(
        table.sql("insert or replace into @ (time, block, data) values (?, ?, ?)"),
        [
            (time, block, merge(there[time, block], data, table.width))
            if (time, block) in there
            else (time, block, data)
            for time, block, data in blocks
        ],
    )
    connection.executemany(
        "insert into touched (day, version) values (?, 1)"
        " on conflict (day) do update set version = version + 1",
        [(day,) for day in np.unique(rows.times // DAY).tolist()],
    )


def read_span(connection: sqlite3.Connection, table: Table, span: tuple[int, int]) -> Rows:
    """Return all rows with a time in `span`, settled."""
    return decode(
        connection.execute(
            table.sql(
                "select time, block, data from @ where time >= ? and time < ? order by time, block"
            ),
            span,
        ),
        table.width,
    )


def read_one(
    connection: sqlite3.Connection, table: Table, span: tuple[int, int], number: int
) -> Rows:
    """Return the rows of one series with a time in `span`, settled."""
    block, slot = divmod(number, SIZE)
    found = connection.execute(table.sql(_HOP), (*span, block, block))
    picked = [(time, cell_of(data, slot, table.width)) for time, _, data in found if is_sound(data)]
    kept = [(time, cells) for time, cells in picked if cells is not None]
    if not kept:
        return Rows.empty(table.width)
    times = np.array([time for time, _ in kept], np.int64)
    cells = np.array([cells for _, cells in kept], np.float64).T
    return Rows(times, np.full(len(kept), number, np.int64), np.ascontiguousarray(cells))


def read_blocks(
    connection: sqlite3.Connection, table: Table, span: tuple[int, int], blocks: tuple[int, int]
) -> Rows:
    """Return the rows of all series in the blocks from the first to the last, settled."""
    return decode(connection.execute(table.sql(_HOP), (*span, *blocks)), table.width)


def read_some(
    connection: sqlite3.Connection, table: Table, span: tuple[int, int], numbers: Collection[int]
) -> Rows:
    """Return the rows of some series with a time in `span`, in no order."""
    wanted = np.array(sorted(numbers), np.int64)
    blocks = np.unique(wanted // SIZE)
    runs = np.split(blocks, np.flatnonzero(np.diff(blocks) > 1) + 1) if len(blocks) else []
    ends = [(int(run[0]), int(run[-1])) for run in runs]
    parts = [read_blocks(connection, table, span, run) for run in ends]
    rows = Rows.joined(parts, table.width)
    return rows.take(np.isin(rows.ids, wanted))


def count_times(connection: sqlite3.Connection, table: Table, span: tuple[int, int]) -> int:
    """Return how many different times within `span` have rows."""
    count, time = 0, first_time(connection, table, span[0])
    while time is not None and time < span[1]:
        count += 1
        time = first_time(connection, table, time + 1)
    return count


def first_time(connection: sqlite3.Connection, table: Table, start: int) -> int | None:
    """Return the first time at or after `start` that has rows."""
    found = connection.execute(table.sql("select min(time) from @ where time >= ?"), (start,))
    first: int | None = found.fetchone()[0]
    return first


def _present(
    connection: sqlite3.Connection, table: Table, blocks: list[tuple[int, int, bytes]]
) -> dict[tuple[int, int], bytes]:
    """Return what is stored already of `blocks`, which are in order."""
    spans: dict[int, list[int]] = {}
    for time, block, _ in blocks:
        spans.setdefault(time, [block, block])[1] = block
    there = {}
    for time, (first, last) in spans.items():
        for block, data in connection.execute(
            table.sql("select block, data from @ where time = ? and block between ? and ?"),
            (time, first, last),
        ):
            there[time, block] = data
    return there

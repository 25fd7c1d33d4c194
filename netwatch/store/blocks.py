"""Blocks: up to 128 series of one interval in one short string of bytes.

A row a series costs 28 bytes and one step of the B-tree each; a block costs one step for
all of its series. Within a block each column lies together:

    slots   n bytes, ascending; slot = id % 128
    cells   width x n little-endian doubles, column after column
"""

import struct
from collections.abc import Iterable, Iterator

import numpy as np

from netwatch.store.rows import Rows

__all__ = ["SIZE", "cell_of", "decode", "encode", "merge"]

SIZE = 128
"""Series in a block; a slot fits a byte and a block of bins stays within a database page."""

_DOUBLE = struct.Struct("<d")


def encode(rows: Rows) -> Iterator[tuple[int, int, bytes]]:
    """Yield (time, block, bytes) of settled `rows`, in their order."""
    if not len(rows):
        return
    blocks = rows.ids // SIZE
    slots = (rows.ids % SIZE).astype(np.uint8)
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows.times[1:] != rows.times[:-1]) | (blocks[1:] != blocks[:-1])
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(rows)).tolist()
    cells = rows.cells.astype("<f8", copy=False)
    heads = zip(rows.times[starts].tolist(), blocks[starts].tolist(), strict=True)
    for (time, block), start, end in zip(heads, starts.tolist(), ends, strict=True):
        yield time, block, slots[start:end].tobytes() + cells[:, start:end].tobytes()


def decode(found: Iterable[tuple[int, int, bytes]], width: int) -> Rows:
    """Return the rows in blocks of `width` columns, in their order."""
    times, firsts, counts, slots, cells = [], [], [], [], []
    for time, block, data in found:
        count = len(data) // (1 + 8 * width)
        times.append(time)
        firsts.append(block * SIZE)
        counts.append(count)
        slots.append(data[:count])
        cells.append(np.frombuffer(data, "<f8", offset=count).reshape(width, count))
    if not times:
        return Rows.empty(width)
    return Rows(
        np.repeat(np.array(times, np.int64), counts),
        np.repeat(np.array(firsts, np.int64), counts) + np.frombuffer(b"".join(slots), np.uint8),
        np.concatenate(cells, axis=1).astype(np.float64, copy=False),
    )


def merge(old: bytes, new: bytes, width: int) -> bytes:
    """Return the block that has the slots of both; where both have one, the new stands."""
    rows = decode([(0, 0, old), (0, 0, new)], width).settled()
    return next(encode(rows))[2]


def cell_of(data: bytes, slot: int, width: int) -> tuple[float, ...] | None:
    """Return the cells of one slot, None where the block has no such slot."""
    count = len(data) // (1 + 8 * width)
    place = data.find(bytes((slot,)), 0, count)
    if place < 0:
        return None
    first = count + 8 * place
    return tuple(_DOUBLE.unpack_from(data, first + 8 * count * row)[0] for row in range(width))

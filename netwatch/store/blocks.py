"""Blocks: up to 128 series of one interval in one short string of bytes.

A row a series costs 28 bytes and one step of the B-tree each; a block costs one step for
all of its series. Within a block each column lies together:

    slots   n bytes, ascending; slot = id % 128
    cells   width x n little-endian doubles, column after column
    check   CRC-32 of all before it, 4 bytes: a page that a disk cut or spoilt is not served
"""

import logging
import struct
from collections.abc import Iterable, Iterator
from zlib import crc32

import numpy as np

from netwatch.store.moments import to_time
from netwatch.store.rows import Rows

_log = logging.getLogger(__name__)

SIZE = 128
"""Series in a block; a slot fits a byte and a block of bins stays within a database page."""

CHECK = 4
"""Bytes of a block that check the others."""

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
        yield time, block, _sealed(slots[start:end].tobytes() + cells[:, start:end].tobytes())


def decode(found: Iterable[tuple[int, int, bytes]], width: int) -> Rows:
    """Return the rows in blocks of `width` columns, in their order; damaged blocks are left out."""
    times, firsts, counts, slots, cells = [], [], [], [], []
    for time, block, data in found:
        count = rows_in(len(data), width)
        if not is_sound(data):
            _log.error("block %d at %s: is damaged, left out", block, to_time(time))
            continue
        times.append(time)
        firsts.append(block * SIZE)
        counts.append(count)
        slots.append(data[:count])
        cells.append(np.frombuffer(data, "<f8", count * width, count).reshape(width, count))
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


def rows_in(size: int, width: int) -> int:
    """Return how many rows a block of `size` bytes holds."""
    return (size - CHECK) // (1 + 8 * width)


def is_sound(data: bytes) -> bool:
    """Return whether a block is as it was written."""
    return len(data) > CHECK and crc32(data[:-CHECK]) == int.from_bytes(data[-CHECK:], "little")


def _sealed(payload: bytes) -> bytes:
    return payload + crc32(payload).to_bytes(CHECK, "little")


def cell_of(data: bytes, slot: int, width: int) -> tuple[float, ...] | None:
    """Return the cells of one slot, None where the sound block has no such slot."""
    count = rows_in(len(data), width)
    place = data.find(bytes((slot,)), 0, count)
    if place < 0:
        return None
    first = count + 8 * place
    return tuple(_DOUBLE.unpack_from(data, first + 8 * count * row)[0] for row in range(width))

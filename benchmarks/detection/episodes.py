"""Every kind of event, drawn at random: how long, how deep, and in which order networks fall.

Durations and clock times follow the curated outages of Bischof et al., "Destination
Unreachable" (SIGCOMM 2023): ordered shutdowns start on the hour in 65-70 % of cases and last
0.8 to 50 h; spontaneous outages start at any minute and are shorter.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.detection.truth import Piece
from netwatch.arrays import Ints

__all__ = ["LOCAL", "NATIONAL", "Draw", "Series"]

_DAY = 1440
Series = list[list[Piece]]
"""Events in a row (a curfew has one a night), each a list of pieces."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What an episode is drawn from.

    Attributes:
        random: the dice.
        networks: indices of those in its scope.
        sizes: their /24 blocks.
        width: minutes a bin, which bounds how short a noticeable event can be.
        offset: minutes that local time is ahead of UTC.
    """

    random: np.random.Generator
    networks: Ints
    sizes: Ints
    width: int
    offset: int

    def piece(self, start: int, end: int, level: float, *, chosen: Ints | None = None) -> Piece:
        """Return one piece of `chosen` networks (all by default), a little uneven in depth."""
        networks = self.networks if chosen is None else chosen
        spread = self.random.uniform(-0.03, 0.03, networks.size) * (0.05 <= level <= 0.9)
        whole = np.full(networks.size, 1, dtype=np.int64)
        return Piece(networks, start * whole, end * whole, np.clip(level + spread, 0, 1))

    def ordered(self, day: int, low: float, high: float) -> int:
        """Return a minute of `day` between local hours `low` and `high`: mostly on the hour."""
        minute = int(self.random.uniform(low, high) * 60)
        luck = self.random.random()
        grain = 60 if luck < 0.65 else 30 if luck < 0.84 else 1
        return max(1, day * _DAY + minute // grain * grain - self.offset)

    def hours(self, low: float, high: float) -> int:
        """Return a length in minutes, log-uniform between `low` and `high` hours."""
        return round(60 * float(np.exp(self.random.uniform(np.log(low), np.log(high)))))


Kind = Callable[[Draw, int], Series]
"""Makes the series of events of one episode that begins on a day."""


def _full(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 0, 24)
    length = draw.hours(2, 50)
    level = float(draw.random.uniform(0.0, 0.12))
    if draw.random.random() < 0.5:
        return [[draw.piece(start, start + length, level)]]
    return [[_staggered(draw, start, start + length, level)]]


def _staggered(draw: Draw, start: int, end: int, level: float) -> Piece:
    """Networks obey an order within 40 minutes, not in the same one."""
    count = draw.networks.size
    late = draw.random.integers(0, 41, count)
    late[draw.random.integers(count)] = 0
    back = draw.random.integers(0, 41, count)
    whole = draw.piece(start, end, level)
    return Piece(whole.networks, whole.starts + late, whole.ends + back, whole.levels)


def _partial(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 0, 24)
    end = start + draw.hours(2, 30)
    if draw.random.random() < 0.5:
        return [[draw.piece(start, end, float(draw.random.uniform(0.25, 0.7)))]]
    return [[draw.piece(start, end, 0.03, chosen=_share(draw, draw.random.uniform(0.3, 0.7)))]]


def _share(draw: Draw, share: float) -> Ints:
    """Return networks, in random order, that hold at least about `share` of the blocks."""
    order = draw.random.permutation(draw.networks.size)
    held = np.cumsum(draw.sizes[order]) / draw.sizes.sum()
    return draw.networks[order[: int(np.searchsorted(held, share)) + 1]]


def _progressive(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 0, 24)
    span = draw.hours(3, 20)
    end = start + span + draw.hours(6, 48)
    count = draw.networks.size
    steps = np.sort(draw.random.integers(0, span, count))
    steps[0] = 0
    order = draw.random.permutation(count)
    levels = draw.random.uniform(0.0, 0.1, count)
    back = end + draw.random.integers(0, 61, count)
    return [[Piece(draw.networks[order], start + steps, back.astype(np.int64), levels)]]


def _restoration(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 0, 24)
    middle = start + draw.hours(6, 30)
    end = middle + draw.hours(6, 30)
    back = float(draw.random.uniform(0.3, 0.65))
    low = float(draw.random.uniform(0.0, 0.1))
    return [[draw.piece(start, middle, low), draw.piece(middle, end, back)]]


def _curfew(draw: Draw, day: int) -> Series:
    nights = int(draw.random.integers(7, 13))
    start = draw.ordered(day, 0, 3)
    length = 60 * int(draw.random.integers(5, 9))
    level = float(draw.random.uniform(0.0, 0.15))
    begins = [start + night * _DAY for night in range(nights)]
    return [[draw.piece(begin, begin + length, level)] for begin in begins]


def _exams(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 5, 8)
    length = 30 * int(draw.random.integers(4, 10))
    days = [offset for offset in range(9) if draw.random.random() < 0.7] or [0]
    begins = [start + offset * _DAY for offset in days]
    return [[draw.piece(begin, begin + length, 0.05)] for begin in begins]


def _flapping(draw: Draw, day: int) -> Series:
    at = draw.ordered(day, 0, 24)
    pieces = []
    for _ in range(int(draw.random.integers(3, 7))):
        down = int(draw.random.integers(2, 7)) * max(draw.width, 10)
        pieces.append(draw.piece(at, at + down, 0.05))
        at += down + int(draw.random.integers(1, 4)) * max(draw.width, 10)
    return [pieces]


def _short(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 0, 24)
    length = max(20, round(draw.width * draw.random.uniform(2.0, 4.0)))
    return [[draw.piece(start, start + length, float(draw.random.uniform(0.0, 0.2)))]]


def _long(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 0, 24)
    length = round(_DAY * draw.random.uniform(7, 31))
    return [[draw.piece(start, start + length, float(draw.random.uniform(0.02, 0.4)))]]


def _dip(draw: Draw, day: int) -> Series:
    start = draw.ordered(day, 0, 24)
    level = float(draw.random.uniform(0.82, 0.92))
    return [[draw.piece(start, start + draw.hours(4, 24), level)]]


def _outage(draw: Draw, day: int) -> Series:
    start = day * _DAY + int(draw.random.integers(0, _DAY))
    length = max(draw.hours(0.5, 12), 2 * draw.width)
    return [[draw.piece(start, start + length, float(draw.random.uniform(0.0, 0.15)))]]


def _weak(draw: Draw, day: int) -> Series:
    start = day * _DAY + int(draw.random.integers(0, _DAY))
    length = max(draw.hours(2, 24), 3 * draw.width)
    return [[draw.piece(start, start + length, float(draw.random.uniform(0.3, 0.7)))]]


NATIONAL: dict[str, Kind] = {
    "national_full": _full,
    "curfew": _curfew,
    "progressive": _progressive,
    "national_partial": _partial,
    "exams": _exams,
    "restoration": _restoration,
    "national_dip": _dip,
    "national_flapping": _flapping,
    "national_short": _short,
    "national_long": _long,
}
"""Episodes of a whole country."""

LOCAL: dict[str, Kind] = {
    "outage": _outage,
    "short": _short,
    "partial": _weak,
    "flapping": _flapping,
    "long": _long,
}
"""Episodes of one region or one network."""

"""What the time truly was when a vantage's steady clock showed something: pure functions.

Everything is whole milliseconds. An anchor is a true pair of the two clocks in one boot;
between two anchors the steady clock is taken to be evenly fast or slow, beyond the last one
it may have drifted. A boot without anchors is held between what is certain: it came after
what the vantage was last seen at, before its next boot, and before its messages arrived.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

UNSURE = 150_000
"""Milliseconds of error beyond which a time says nothing about an interval."""
BOUNDLESS = 2**52
"""Stands for an error that nothing bounds."""
_DRIFT = 10_000
"""A steady clock is off by one part in this many, at most: 100 parts in a million."""


@dataclass(frozen=True, slots=True, order=True)
class Anchor:
    """At `steady` the true time was `steady + offset`, give or take `error`.

    `trusted` where the collector itself said so; others are not believed against it.
    """

    steady: int
    offset: int
    error: int
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is certain of a boot's offset: at least `low`, at most `high`, None where unknown.

    `guess` is what the vantage's own clock would have it be.
    """

    guess: int
    low: int | None = None
    high: int | None = None

    def middle(self) -> tuple[int, int]:
        """Return an offset and its error: the guess where it can be, else amid the bounds."""
        low, high = self.low, self.high
        if low is not None and high is not None and low > high:
            low = high  # what was seen last was seen later than it was sent: late, not wrong
        offset = self.guess
        if (low is not None and offset < low) or (high is not None and offset > high):
            offset = _amid(low, high)
        if low is None or high is None:
            return offset, BOUNDLESS
        return offset, max(high - offset, offset - low)


def _amid(low: int | None, high: int | None) -> int:
    """Return the middle of what is bounded, or the one bound there is."""
    if low is None:
        return high or 0
    return low if high is None else (low + high) // 2


class Estimate:
    """The offset of one boot over time, from its anchors or, without any, from its bounds."""

    def __init__(self, anchors: Sequence[Anchor], bounds: Bounds) -> None:
        self.anchors = filter_anchors(anchors)
        self._bounds = bounds

    def at(self, steady: int) -> tuple[int, int]:
        """Return the offset at `steady` and its error."""
        anchors = self.anchors
        if not anchors:
            return self._bounds.middle()
        after = bisect_right(anchors, steady, key=lambda one: one.steady)
        if after == 0:
            return _beyond(anchors[0], steady)
        if after == len(anchors):
            return _beyond(anchors[-1], steady)
        one, other = anchors[after - 1], anchors[after]
        part, whole = steady - one.steady, max(1, other.steady - one.steady)
        offset = one.offset + (other.offset - one.offset) * part // whole
        return offset, max(one.error, other.error)


def _beyond(anchor: Anchor, steady: int) -> tuple[int, int]:
    """Return what one anchor says of a moment on its own."""
    return anchor.offset, _doubt(anchor, steady)


def _doubt(anchor: Anchor, steady: int) -> int:
    """Return how far `anchor` may be off at another moment."""
    return anchor.error + abs(steady - anchor.steady) // _DRIFT


def filter_anchors(anchors: Sequence[Anchor]) -> list[Anchor]:
    """Return, by time, the anchors that tell more than their neighbours do.

    What contradicts the collector's own word goes; so does what another anchor tells with
    less doubt, drift included.
    """
    rows = sorted(anchors)
    trusted = [one for one in rows if one.trusted]
    if trusted:
        rows = [one for one in rows if one.trusted or _fits(one, trusted)]
    return _without_worse(_without_worse(rows)[::-1])[::-1]


def _fits(one: Anchor, trusted: Sequence[Anchor]) -> bool:
    """Tell whether an anchor can be true if the nearest trusted one is."""
    near = min(trusted, key=lambda other: abs(other.steady - one.steady))
    return abs(near.offset - one.offset) <= one.error + _doubt(near, one.steady)


def _without_worse(rows: Sequence[Anchor]) -> list[Anchor]:
    """Drop what an anchor before tells with less doubt."""
    kept: list[Anchor] = []
    best: Anchor | None = None
    for one in rows:
        if best is None or one.error <= _doubt(best, one.steady):
            kept.append(one)
            best = one
    return kept

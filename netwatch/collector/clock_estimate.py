"""Estimates the offset between a vantage's monotonic clock and true time: pure functions.

Everything is whole milliseconds. An anchor is a known pair of monotonic and true time in one
boot. Between two anchors the clock is taken to drift evenly; beyond the last one the error
grows. A boot without anchors is bounded: it came after the vantage was last seen, before its
next boot, and before its messages were received.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

MAX_ERROR_MS = 150_000
"""Error beyond which a time is useless: half of the default bin of five minutes."""
SIGNIFICANT_CHANGE_MS = 250
"""Change of an offset for which a batch is dated again."""
UNLIMITED = 2**53
"""Later than any monotonic time, and greater than any sequence."""
UNBOUNDED = 2**52
"""Error of a time about which nothing is known."""
_DRIFT = 10_000
"""A monotonic clock drifts by at most one part in this many (100 ppm)."""


@dataclass(frozen=True, slots=True, order=True)
class Anchor:
    """At `monotonic` the true time was `monotonic + offset`, give or take `error`.

    `trusted` anchors come from the collector; others are not used against them.
    """

    monotonic: int
    offset: int
    error: int
    trusted: bool = False

    def error_at(self, monotonic: int) -> int:
        """Return the error of the offset at another moment, drift included."""
        return self.error + abs(monotonic - self.monotonic) // _DRIFT


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds on a boot's offset, None where unknown; `wall_offset` is by the vantage's clock."""

    wall_offset: int
    low: int | None = None
    high: int | None = None

    def estimate(self) -> tuple[int, int]:
        """Return an offset and its error: the wall offset if within the bounds, else the middle."""
        low, high = self.low, self.high
        if low is not None and high is not None and low > high:
            # The vantage was last seen later than it was sent: a late message, not a wrong one.
            low = high
        offset = self.wall_offset if low is None else max(self.wall_offset, low)
        offset = offset if high is None else min(offset, high)
        if low is None or high is None:
            return offset, UNBOUNDED
        if offset != self.wall_offset:
            offset = (low + high) // 2
        return offset, max(high - offset, offset - low)


class Estimate:
    """The offset of one boot over time, from its anchors or, without any, from its bounds."""

    def __init__(self, anchors: Sequence[Anchor], bounds: Bounds) -> None:
        self.anchors = filter_anchors(anchors)
        self._bounds = bounds

    def at(self, monotonic: int) -> tuple[int, int]:
        """Return the offset at `monotonic` and its error."""
        anchors = self.anchors
        if not anchors:
            return self._bounds.estimate()
        after = bisect_right(anchors, monotonic, key=lambda one: one.monotonic)
        if after in {0, len(anchors)}:
            nearest = anchors[0] if after == 0 else anchors[-1]
            return nearest.offset, nearest.error_at(monotonic)
        left, right = anchors[after - 1], anchors[after]
        part, whole = monotonic - left.monotonic, max(1, right.monotonic - left.monotonic)
        offset = left.offset + (right.offset - left.offset) * part // whole
        return offset, max(left.error, right.error)

    def changed_range(self, before: "Estimate") -> tuple[int, int] | None:
        """Return the monotonic times at which this differs from an earlier estimate, None if none.

        Small changes of estimates without anchors do not count.
        """
        if not self.anchors:
            (old, old_error), (new, new_error) = before.at(0), self.at(0)
            is_changed = (old_error > MAX_ERROR_MS) != (new_error > MAX_ERROR_MS)
            is_changed |= abs(old - new) > SIGNIFICANT_CHANGE_MS
            return (-UNLIMITED, UNLIMITED) if is_changed else None
        old_anchors, anchors = before.anchors, self.anchors
        if old_anchors == anchors:
            return None
        head = _common_length(old_anchors, anchors)
        tail = _common_length(old_anchors[head:][::-1], anchors[head:][::-1])
        low = anchors[head - 1].monotonic if head else -UNLIMITED
        high = anchors[-tail].monotonic if tail else UNLIMITED
        return low, high


def _common_length(anchors: Sequence[Anchor], others: Sequence[Anchor]) -> int:
    """Return how many anchors at the start are the same."""
    pairs = zip(anchors, others, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def filter_anchors(anchors: Sequence[Anchor]) -> list[Anchor]:
    """Return, in order, the anchors that add information.

    Drops anchors that contradict a trusted one, and those that another anchor implies with a
    smaller error, drift included.
    """
    ordered = sorted(anchors)
    trusted = [one for one in ordered if one.trusted]
    if trusted:
        ordered = [one for one in ordered if one.trusted or _agrees(one, trusted)]
    return _drop_implied(_drop_implied(ordered)[::-1])[::-1]


def _agrees(one: Anchor, trusted: Sequence[Anchor]) -> bool:
    """Return whether an anchor agrees with the nearest of the trusted ones, which are in order."""
    after = bisect_right(trusted, one.monotonic, key=lambda other: other.monotonic)
    around = trusted[max(after - 1, 0) : after + 1]
    nearest = min(around, key=lambda other: abs(other.monotonic - one.monotonic))
    return abs(nearest.offset - one.offset) <= one.error + nearest.error_at(one.monotonic)


def _drop_implied(anchors: Sequence[Anchor]) -> list[Anchor]:
    """Drop anchors that an earlier one implies with a smaller error."""
    kept: list[Anchor] = []
    for one in anchors:
        if not kept or one.error <= kept[-1].error_at(one.monotonic):
            kept.append(one)
    return kept

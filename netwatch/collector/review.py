"""Keeps closed bins as they were known, where late measurements would change what was said.

A late measurement counts at once, as long as the level of its bin stays within its interval. Beyond
it, the bin stays, and an amendment waits for a person. Nothing is lost: the batch log has it all.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from netwatch.model.amendment import Amendment, AmendmentState
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.protocols import Amendments, Clock, SeriesStore


@dataclass(frozen=True, slots=True)
class LateSenders:
    """Of how many owners and networks the agents are that sent late measurements of a bin."""

    owners: int
    networks: int


class AmendmentReview:
    """Writes closed bins of `width` that were counted again.

    Raises:
        StoreError: from every method, if store or ledger cannot be used; the call can be repeated.
    """

    def __init__(
        self, store: SeriesStore, amendments: Amendments, *, width: timedelta, clock: Clock
    ) -> None:
        self._store, self._amendments = store, amendments
        self._width, self._clock = width, clock

    def write(
        self, time: datetime, bins: Sequence[Bin], senders: Callable[[], LateSenders]
    ) -> list[Amendment]:
        """Write the bins at `time`, except those to be reviewed; return new amendments.

        `senders` is called if there are any.
        """
        end = time + self._width
        levels = {one.series: one for one in self._store.read_levels(time, end)}
        before = {one.series: one for one in self._store.read_bins(time, end)}
        known = {
            one.series: one
            for one in self._amendments.read(frozenset(AmendmentState), start=time, end=end)
        }
        passed = {key for key, one in known.items() if one.state is AmendmentState.ACCEPTED}
        found, late = list[Amendment](), LateSenders(0, 0)
        for one in bins:
            then = before.get(one.series)
            now = moved_level(levels.get(one.series), then, one)
            if now is None or one.series in passed:
                continue
            late = late if found else senders()
            share = _late_share(then, one)
            level = levels[one.series].value or 0.0
            found.append(Amendment(one.series, time, level, now, share, late.owners, late.networks))
        fresh = [one for one in found if _is_news(known.get(one.series))]
        if found or AmendmentState.PENDING in {one.state for one in known.values()}:
            self._amendments.replace(time, _with_decided(found, known), at=self._clock())
        held = {one.series for one in found}
        self._store.put_bins([one for one in bins if one.series not in held])
        return fresh

    def apply_accepted(self, count: Callable[[datetime], Sequence[Bin]]) -> int:
        """Write the bins and levels of accepted amendments; return how many.

        `count` counts the bins that start at a time.
        """
        accepted = self._amendments.read({AmendmentState.ACCEPTED})
        for time in sorted({one.time for one in accepted}):
            chosen = [one for one in accepted if one.time == time]
            keys = {one.series for one in chosen}
            self._store.put_levels(self._amended(time, chosen))
            self._store.put_bins([one for one in count(time) if one.series in keys])
            self._amendments.decide(chosen, AmendmentState.APPLIED, at=self._clock())
        return len(accepted)

    def _amended(self, time: datetime, chosen: Collection[Amendment]) -> list[Level]:
        levels = {one.series: one for one in self._store.read_levels(time, time + self._width)}
        return [_shift(levels[one.series], one.now) for one in chosen if one.series in levels]


def moved_level(level: Level | None, before: Bin | None, after: Bin) -> float | None:
    """Return the level of a bin that was counted again, None if it is within the level's interval.

    The ordinary value is what the level was judged by: value then divided by level then. Without
    it, a share of one is ordinary, so that the new level is too low rather than too high. A bin
    without a level has not been judged yet, and what was never said cannot be amended.
    """
    if level is None or level.interval is None or after.total == 0:
        return None
    value, low, high = level.interval
    then = None if before is None else _quantity(before)
    now = _quantity(after)
    moved = value * now / then if then and value else now
    if (not then or not value) and after.total is None:
        return None
    return None if low <= moved <= high else moved


def _quantity(one: Bin) -> float:
    return one.value / one.total if one.total else one.value


def _late_share(before: Bin | None, after: Bin) -> float:
    if not after.total:
        return 1.0
    earlier = 0.0 if before is None else before.total or 0.0
    return min(max(1 - earlier / after.total, 0.0), 1.0)


def _is_news(known: Amendment | None) -> bool:
    return known is None or known.state is AmendmentState.APPLIED


def _with_decided(found: Sequence[Amendment], known: dict[SeriesKey, Amendment]) -> list[Amendment]:
    """Return what was found; what a person has rejected stays rejected."""
    return [
        replace(one, state=AmendmentState.REJECTED)
        if one.series in known and known[one.series].state is AmendmentState.REJECTED
        else one
        for one in found
    ]


def _shift(level: Level, value: float) -> Level:
    """Return a level of another value, with an interval of the same width."""
    if level.interval is None:
        return level
    then, low, high = level.interval
    return replace(level, value=value, low=max(0.0, value - (then - low)), high=value + high - then)

"""Keeps closed bins as they were known, where late measurements would change what was said.

A late measurement counts at once, as long as the level of its bin stays within its interval. Beyond
it, the bin stays, and an amendment waits for a person. Nothing is lost: the batch log has it all.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from netwatch.model.amendment import Amendment, AmendmentState
from netwatch.model.errors import InputError
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
        ordinary = self._ordinary_values(time, bins, levels, before)
        held = {key for key, one in known.items() if one.state is AmendmentState.REJECTED}
        passed = {key for key, one in known.items() if one.state is AmendmentState.ACCEPTED}
        found, late = list[Amendment](), LateSenders(0, 0)
        for one in bins:
            now = moved_level(levels.get(one.series), ordinary.get(one.series), one)
            if now is None or one.series in held | passed:
                continue
            late = late if found else senders()
            share = _late_share(before.get(one.series), one)
            level = levels[one.series].value or 0.0
            found.append(Amendment(one.series, time, level, now, share, late.owners, late.networks))
        fresh = [one for one in found if _is_news(known.get(one.series))]
        if found or AmendmentState.PENDING in {one.state for one in known.values()}:
            self._amendments.replace(time, found, at=self._clock())
        held |= {one.series for one in found}
        self._store.put_bins([one for one in bins if one.series not in held])
        return fresh

    def reopen(self, until: datetime) -> None:
        """Forget the amendments that wait for bins from `until` on, which are counted anew."""
        self._amendments.forget(until)

    def apply_accepted(
        self,
        count: Callable[[datetime], Sequence[Bin]],
        *,
        is_due: Callable[[], bool],
        refuse: Callable[[str], None],
    ) -> None:
        """Write the bins and levels of accepted amendments, one bin at least.

        Args:
            count: counts the bins that start at a time.
            is_due: whether to go on with the next bin.
            refuse: called with the reason if the store takes a bin's amendments no more; they are
                then rejected.
        """
        accepted = self._amendments.read({AmendmentState.ACCEPTED})
        for time, group in groupby(accepted, key=lambda one: one.time):
            chosen = list(group)
            keys, state = {one.series for one in chosen}, AmendmentState.APPLIED
            try:
                self._store.put_levels(self._amended(time, chosen))
                self._store.put_bins([one for one in count(time) if one.series in keys])
            except InputError as error:
                refuse(str(error))
                state = AmendmentState.REJECTED
            self._amendments.decide(chosen, state, at=self._clock())
            if not is_due():
                break

    def _ordinary_values(
        self,
        time: datetime,
        bins: Sequence[Bin],
        levels: Mapping[SeriesKey, Level],
        before: Mapping[SeriesKey, Bin],
    ) -> dict[SeriesKey, float]:
        """Return what each level was judged by, of the bins that are to change.

        It is kept from the first change on, when the bin is still as it was judged: many small
        changes would move it as far as one likes otherwise.
        """
        known = self._amendments.ordinary(time)
        changed = {one.series for one in bins if before.get(one.series) != one}
        new = {
            key: value
            for key in sorted(changed & levels.keys() - known.keys())
            if (value := _ordinary_value(levels[key], before.get(key))) is not None
        }
        if new:
            self._amendments.keep_ordinary(time, new)
        return known | new

    def _amended(self, time: datetime, chosen: Collection[Amendment]) -> list[Level]:
        levels = {one.series: one for one in self._store.read_levels(time, time + self._width)}
        return [_shift(levels[one.series], one.now) for one in chosen if one.series in levels]


def moved_level(level: Level | None, ordinary: float | None, after: Bin) -> float | None:
    """Return the level of a bin that was counted again, None if it is within the level's interval.

    `ordinary` is what the level was judged by. A bin without a level has not been judged yet, and
    what was never said cannot be amended.
    """
    if level is None or level.interval is None or ordinary is None or after.total == 0:
        return None
    _, low, high = level.interval
    moved = _quantity(after) / ordinary
    return None if low <= moved <= high else moved


def _ordinary_value(level: Level, before: Bin | None) -> float | None:
    """Return value then divided by level then; None if it is unknown.

    Where one is zero, a share of one is ordinary, so that a new level is too low rather than too
    high.
    """
    then = None if before is None else _quantity(before)
    if then and level.value:
        return then / level.value
    return None if before is not None and before.total is None else 1.0


def _quantity(one: Bin) -> float:
    return one.value / one.total if one.total else one.value


def _late_share(before: Bin | None, after: Bin) -> float:
    if not after.total:
        return 1.0
    earlier = 0.0 if before is None else before.total or 0.0
    return min(max(1 - earlier / after.total, 0.0), 1.0)


def _is_news(known: Amendment | None) -> bool:
    return known is None or known.state is AmendmentState.APPLIED


def _shift(level: Level, value: float) -> Level:
    """Return a level of another value, with an interval of the same width."""
    if level.interval is None:
        return level
    then, low, high = level.interval
    return replace(level, value=value, low=max(0.0, value - (then - low)), high=value + high - then)

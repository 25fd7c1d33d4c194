"""Rest days and holidays of each row: what they change in its ordinary value."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from netwatch.arrays import Bools, Float32, Floats, RowArray
from netwatch.detect.holidays_calendar import DayTypes
from netwatch.detect.layout import Layout
from netwatch.detect.seasonal_baseline import DAY
from netwatch.detect.state import SeriesState

_WEEKEND_HOURS = 2.0 * DAY
"""Rest hours after which a series' first weekend is over."""


@dataclass(frozen=True, slots=True)
class RestDays:
    """The kind of day of each row.

    Attributes:
        rest: its country has a rest day.
        holiday: a human-driven row whose country has a public holiday. Replies of networks do
            not change on holidays: with a wider spread, nights of the Burmese new year were not
            detected in the replies from Bago.
        first_rest: a human-driven count that has a rest day for the first time. Networks answer
            and are announced on any day: an outage that active probing sees on a first weekend
            is detected as fast as any other.
        shift: hours from now to the same hour of the country's rest day, within the week.
    """

    rest: Bools
    holiday: Bools
    first_rest: Bools
    shift: RowArray


def rest_days(state: SeriesState, layout: Layout, day_types: DayTypes) -> RestDays:
    """Return the kind of day of each row, from that of each country."""
    rest = day_types.rest[layout.country]
    first_rest = layout.human_driven & rest & (state.rest_hours < _WEEKEND_HOURS)
    if first_rest.any():
        has_shares = np.bincount(layout.signal, state.is_share) > 0
        first_rest &= ~has_shares[layout.signal]
    return RestDays(
        rest=rest,
        holiday=layout.human_driven & day_types.holiday[layout.country],
        first_rest=first_rest,
        shift=day_types.shift[layout.country],
    )


def ordinary_values(
    state: SeriesState, time: datetime, *, days: RestDays, values: Floats
) -> Floats:
    """Return the ordinary values, on holidays those of workday or rest day, whichever is nearer."""
    ordinary = state.baseline.expect(time)
    rows = np.flatnonzero(days.holiday & ~state.is_share & ~state.baseline.composite)
    if not len(rows):
        return ordinary
    resting = state.baseline.expect_rows(rows, time, days.shift[rows])
    working = ordinary[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        nearer = np.abs(np.log(values[rows] / resting)) < np.abs(np.log(values[rows] / working))
    ordinary[rows] = np.where(nearer, resting, working)
    return ordinary


def count_rest_hours(state: SeriesState, layout: Layout, *, values: Floats, rest: Bools) -> Float32:
    """Return the hours of rest days seen after one more bin, which has data where `values` do."""
    present, composites = np.isfinite(values), layout.composites
    present[composites.rows] = composites.sum(present[composites.networks]) > 0
    return np.asarray(state.rest_hours + np.float32(state.width / 3600) * (present & rest))

"""Rest days of the week and public holidays, by country.

Dates and weekends are those of the package `holidays`, in the country's own time zone. In a
country that it does not know, the weekend is Saturday and Sunday and there are no holidays.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
from holidays import HolidayBase, country_holidays

from netwatch.arrays import Bools, RowArray
from netwatch.model.entities import Entity, EntityTree

_DEFAULT_WEEKEND = frozenset({5, 6})
"""Weekdays, 0 = Monday."""


@dataclass(frozen=True, slots=True)
class DayTypes:
    """The kind of day in each country; the last value stands for no country.

    Attributes:
        holiday: a public holiday on a workday.
        rest: a rest day of the week, or a public holiday.
        shift: hours from now to the same hour of the country's rest day, within the week.
    """

    holiday: Bools
    rest: Bools
    shift: RowArray


class HolidayCalendar:
    """Kind of day in every country at any time."""

    def __init__(self, tree: EntityTree) -> None:
        self._tree = tree
        self._countries: dict[Entity, HolidayBase | None] = {}
        self._days: dict[tuple[Entity, date], tuple[bool, bool, int]] = {}

    def day_types(self, time: datetime, countries: Sequence[Entity]) -> DayTypes:
        """Return the kind of the day that `time` lies in, in each of `countries`."""
        days = [self._day_type(country, time) for country in countries]
        days.append(_day_type(time.date(), None))
        holiday, rest, shift = zip(*days, strict=True)
        return DayTypes(np.array(holiday, bool), np.array(rest, bool), np.array(shift, np.intp))

    def _day_type(self, country: Entity, time: datetime) -> tuple[bool, bool, int]:
        day = time.astimezone(ZoneInfo(self._tree.timezone(country))).date()
        if (country, day) not in self._days:
            self._days[country, day] = _day_type(day, self._country(country))
        return self._days[country, day]

    def _country(self, country: Entity) -> HolidayBase | None:
        if country not in self._countries:
            try:
                self._countries[country] = country_holidays(country.code)
            except NotImplementedError:
                self._countries[country] = None
        return self._countries[country]


def _day_type(day: date, country: HolidayBase | None) -> tuple[bool, bool, int]:
    """Return holiday on a workday, rest, and hours to the same hour of the coming rest day."""
    weekend: Container[int] = _DEFAULT_WEEKEND if country is None else country.weekend
    rests = day.weekday() in weekend
    public = country is not None and day in country
    ahead = next((days for days in range(7) if (day.weekday() + days) % 7 in weekend), 0)
    return public and not rests, public or rests, 24 * ahead

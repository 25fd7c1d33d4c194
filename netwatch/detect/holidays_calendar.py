"""Days on which people stay at home: rest days of the week and public holidays, by country.

Dates and weekends are those of the package `holidays`, in the country's own time zone. Where
it is not installed, or does not know a country, Saturday and Sunday rest and nothing else does.
"""

import importlib
import importlib.util
from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol, cast
from zoneinfo import ZoneInfo

import numpy as np

from netwatch.arrays import Bools, RowArray
from netwatch.model.entities import Entity, EntityTree

_WEEKEND = frozenset({5, 6})


class _Country(Protocol):
    """What is used of a country of the package: its holidays and the weekdays that rest."""

    weekend: Container[int]

    def __contains__(self, day: date) -> bool:
        """Return whether `day` is a public holiday."""


class _Package(Protocol):
    """What is used of the package."""

    def country_holidays(self, country: str) -> _Country:
        """Return a country's holidays; NotImplementedError where it is not known."""


@dataclass(frozen=True, slots=True)
class DayTypes:
    """What day it is, a value a country; the last value stands for no country.

    Attributes:
        holiday: a public holiday on a day on which people ordinarily work.
        rest: a rest day of the week, or a public holiday.
        shift: hours from now to the same hour of the country's rest day, within the week.
    """

    holiday: Bools
    rest: Bools
    shift: RowArray


class HolidayCalendar:
    """Knows for every country and time whether people rest."""

    def __init__(self, atlas: EntityTree) -> None:
        """Take time zones from `atlas`."""
        self._atlas = atlas
        self._package: _Package | None = None
        if importlib.util.find_spec("holidays") is not None:
            self._package = cast("_Package", importlib.import_module("holidays"))
        self._known: dict[Entity, _Country | None] = {}
        self._days: dict[tuple[Entity, date], tuple[bool, bool, int]] = {}

    def today(self, time: datetime, countries: Sequence[Entity]) -> DayTypes:
        """Return what day `time` lies in, in each of `countries`."""
        found = [self._day(country, time) for country in countries]
        found.append(_judge_day(time.date(), None))
        holiday, rest, shift = zip(*found, strict=True)
        return DayTypes(np.array(holiday, bool), np.array(rest, bool), np.array(shift, np.intp))

    def _day(self, country: Entity, time: datetime) -> tuple[bool, bool, int]:
        """Return whether the local day is a holiday, whether it rests, hours to the rest day."""
        day = time.astimezone(ZoneInfo(self._atlas.timezone(country))).date()
        if (country, day) not in self._days:
            self._days[country, day] = _judge_day(day, self._country(country))
        return self._days[country, day]

    def _country(self, country: Entity) -> _Country | None:
        """Return the holidays of `country`, None where they are not known."""
        if country not in self._known:
            found = None
            if self._package is not None:
                try:
                    found = self._package.country_holidays(country.code)
                except NotImplementedError:
                    found = None
            self._known[country] = found
        return self._known[country]


def _judge_day(day: date, country: _Country | None) -> tuple[bool, bool, int]:
    """Return holiday on a workday, rest, and hours to the same hour of the coming rest day."""
    weekend: Container[int] = _WEEKEND if country is None else country.weekend
    rests = day.weekday() in weekend
    public = country is not None and day in country
    ahead = next((days for days in range(7) if (day.weekday() + days) % 7 in weekend), 0)
    return public and not rests, public or rests, int(timedelta(days=ahead) / timedelta(hours=1))

"""Published percentages: the only place where a published statement of a level is rounded.

Every sentence, post and table of places and incidents reads `PublishedPercent.form` and `number`,
so that no two of them disagree about a level. The words are in the templates of `netwatch.publish`.

Measured values are shown as they are, to a fixed number of decimals: the estimate and its interval
next to the text in an incident's JSON, and the series of charts, hourly tables and JSON.
"""

from dataclasses import dataclass
from enum import StrEnum

from netwatch.model import thresholds
from netwatch.model.series import UNDECIDED_INTERVAL

_MAX_EXACT_HALF_WIDTH = 5.0
"""Percentage points: a wider 95 % interval does not support a whole percent."""
_MAX_ROUGH_HALF_WIDTH = 15.0
"""Percentage points: a wider 95 % interval does not support steps of 5."""
_ORDINARY_FROM = 100 * thresholds.ORDINARY
_REDUCED_FROM = 49.5
"""Percent: what rounds to 50 or more."""
_SEVERELY_REDUCED_FROM = 14.5
"""Percent: what rounds to 15 or more."""


_UNDECIDED = tuple(100 * end for end in UNDECIDED_INTERVAL)


class Precision(StrEnum):
    """How exactly a level is published."""

    EXACT = "exact"
    """To the nearest percent."""
    ROUGH = "rough"
    """To the nearest 5 percent."""
    NONE = "none"
    """Without a number: too few measurements, or too wide an interval."""


class PercentForm(StrEnum):
    """Which wording a percentage needs."""

    UNDECIDED = "undecided"
    ORDINARY = "ordinary"
    REDUCED = "reduced"
    SEVERELY_REDUCED = "severely_reduced"
    NEAR_TOTAL = "near_total"
    NO_SUCCESS = "none"
    BELOW_ONE = "below_one"
    EXACT = "exact"
    ABOUT = "about"


@dataclass(frozen=True, slots=True)
class PublishedPercent:
    """A level in percent of ordinary with its 95 % interval, and how exactly it is published."""

    value: float
    low: float
    high: float
    precision: Precision

    @property
    def form(self) -> PercentForm:
        """The wording that it needs; `EXACT` and `ABOUT` have a number."""
        if (self.low, self.high) == _UNDECIDED:
            return PercentForm.UNDECIDED
        if self.precision is Precision.NONE or self.value <= 0 or self.value >= _ORDINARY_FROM:
            return depth_form(self.value)
        if self.value < 1:
            return PercentForm.BELOW_ONE
        return PercentForm.EXACT if self.precision is Precision.EXACT else PercentForm.ABOUT

    @property
    def number(self) -> int | None:
        """The rounded percentage, None where no number is published."""
        if self.form is PercentForm.EXACT:
            return round(self.value)
        if self.form is PercentForm.ABOUT:
            # 2.5 % rounds to 0, which would read as no connectivity.
            return max(5, round(self.value / 5) * 5)
        return None


def make_percent(
    value: float, low: float, high: float, *, networks: int, coverage: float = 1.0
) -> PublishedPercent:
    """Return the published form of a level, whose values are shares of ordinary, as in `Level`.

    The number is exact with a half-width up to 5 points and rough up to 15. It is withheld with
    a wider 95 % interval, fewer than 5 networks, or less than 30 % of the ordinary weight measured
    (`coverage`).
    """
    percents = (value * 100, low * 100, high * 100)
    half_width = (percents[2] - percents[1]) / 2
    precision = Precision.EXACT if half_width <= _MAX_EXACT_HALF_WIDTH else Precision.ROUGH
    enough = networks >= thresholds.MIN_NETWORKS and coverage >= thresholds.MIN_COVERAGE
    if not enough or half_width > _MAX_ROUGH_HALF_WIDTH:
        precision = Precision.NONE
    return PublishedPercent(*percents, precision)


def depth_form(percent: float) -> PercentForm:
    """Return the wording, without a number, of a depth in percent of ordinary."""
    if percent >= _ORDINARY_FROM:
        return PercentForm.ORDINARY
    if percent >= _REDUCED_FROM:
        return PercentForm.REDUCED
    if percent >= _SEVERELY_REDUCED_FROM:
        return PercentForm.SEVERELY_REDUCED
    return PercentForm.NEAR_TOTAL if percent > 0 else PercentForm.NO_SUCCESS

"""Series: counts in intervals, and the level that a detector reads from them."""

from dataclasses import dataclass
from datetime import datetime

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity

_NO_BASELINE = Baseline()
UNDECIDED_TRIALS = 0.01
"""Trials of a bin whose vantages contradict each other: its share is stored, and is no evidence."""
UNDECIDED_INTERVAL = (0.0, 1.25)
"""Interval of a level that nobody can tell; the upper end is the most that a network counts as."""


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """One kind of evidence about one entity."""

    signal: str
    entity: Entity


@dataclass(frozen=True, slots=True)
class Bin:
    """Counts of one series in one interval. An absent bin is no data, a zero is a measured zero.

    Attributes:
        time: start of the interval, aware UTC.
        value: successes, or a plain count or quantity where `total` is None.
        total: trials behind `value`, of equal weight; less than one is no evidence.
    """

    time: datetime
    series: SeriesKey
    value: float
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """How far a series is from ordinary in one interval; 1.0 is ordinary.

    Attributes:
        time: start of the interval, aware UTC.
        value: current over ordinary; None is no data, 0.0 is a measured zero.
        low, high: 95 % interval of `value`, None where `value` is None.
        probability: that the series is below ordinary.
        coverage: share of the ordinary weight that was measured, 0 to 1.
        networks: number of networks behind the value.
        baseline: what the ordinary level stands on.
    """

    time: datetime
    series: SeriesKey
    value: float | None
    low: float | None = None
    high: float | None = None
    probability: float = 0.0
    coverage: float = 1.0
    networks: int = 1
    baseline: Baseline = _NO_BASELINE

    @property
    def usable(self) -> bool:
        """Whether the series answers in ordinary times; False where it never did."""
        return self.baseline.kind is not BaselineKind.DEAD

    @property
    def is_undecided(self) -> bool:
        """Whether its vantages contradict each other, so that the value is no evidence."""
        return (self.low, self.high) == UNDECIDED_INTERVAL

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Value, low and high; both bounds are the value where none is known. None for no data."""
        if self.value is None:
            return None
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return self.value, low, high

    @property
    def entity(self) -> Entity:
        """The entity that the level is about."""
        return self.series.entity

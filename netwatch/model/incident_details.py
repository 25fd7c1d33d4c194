"""Details of an incident's record in addition to its level. None of them states a cause."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from netwatch.model.entities import Entity


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of an incident at one level.

    Attributes:
        start, end: from its first bin to the end of its last.
        level: mean of its bins, 1.0 = ordinary.
        low, high: means of their 95 % intervals. They do not shrink with the number of bins:
            all bins share one baseline and one choice of networks.
        bins: number of bins with data.
    """

    start: datetime
    end: datetime
    level: float
    low: float
    high: float
    bins: int


@dataclass(frozen=True, slots=True)
class NetworkLoss:
    """One network's loss within an incident.

    Attributes:
        share: its share of the weight of all measured networks.
        cumulative_share: share lost with it and before it.
    """

    entity: Entity
    started_at: datetime
    share: float
    cumulative_share: float


@dataclass(frozen=True, slots=True)
class SurvivingNetwork:
    """A network that stayed up during a cut.

    Attributes:
        share: its share of the weight of all networks of the scope.
        level: its mean level during the cut.
        low, high: means of the ends of its 95 % intervals.
    """

    entity: Entity
    share: float
    level: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SurvivingNetworks:
    """The measured networks that stayed up during a cut; others may have, too.

    Attributes:
        networks: the heaviest first.
        kept_share, lost_share, unknown_share: shares of the scope's weight; they add up to 1.
            Unknown are networks with data in less than half of the bins.
    """

    networks: tuple[SurvivingNetwork, ...]
    kept_share: float
    lost_share: float
    unknown_share: float


class TimingFeature(StrEnum):
    """A yes-or-no property of a loss's timing."""

    RECURS = "recurs"
    ON_THE_HOUR = "on-the-hour"
    NIGHT = "night"
    ALL_SIGNALS = "all-signals"
    ROUND_LENGTH = "round-length"
    USUAL_LENGTH = "usual-length"


@dataclass(frozen=True, slots=True)
class FeatureEvidence:
    """Whether a timing feature is present, and its log likelihood ratio."""

    feature: TimingFeature
    present: bool
    log_ratio: float


@dataclass(frozen=True, slots=True)
class ShutdownLikelihood:
    """How much the timing of a loss resembles directed shutdowns.

    Attributes:
        log_ratio: natural logarithm of P(timing | directed) / P(timing | other); 0 is even.
        evidence: the known features; `log_ratio` is the sum of theirs.
        resembles_shutdown: whether `log_ratio` is high enough to be mentioned.
    """

    log_ratio: float
    evidence: tuple[FeatureEvidence, ...]
    resembles_shutdown: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the next loss of a daily pattern is due, if it recurs.

    Attributes:
        start, end: the expected window, aware UTC.
        earliest_start, latest_end: the widest window that past occurrences make plausible.

    A forecast raises the prior of a loss within its window. It is not evidence: no level, bin
    or post depends on it otherwise.
    """

    start: datetime
    end: datetime
    earliest_start: datetime
    latest_end: datetime

    def covers(self, time: datetime) -> bool:
        """Return whether a loss at `time` is within the window."""
        return self.earliest_start <= time < self.latest_end


class PatternName(StrEnum):
    """Name of a pattern in data, in order of precedence."""

    DAILY = "daily-curfew"
    MORNINGS = "weekday-mornings"
    PROGRESSIVE = "progressive"
    FLAPPING = "flapping"
    PARTIAL = "partial-restoration"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern in an entity's losses.

    Attributes:
        since: onset of the first loss that it is read from.
        measures: (quantity, value) pairs; minutes, hours and counts as the quantity says.
        next_start, next_end: the usual time of day of a recurring pattern, at its next turn.
        forecast: of a daily pattern that has enough days.
    """

    name: PatternName
    since: datetime
    measures: tuple[tuple[str, float], ...]
    next_start: datetime | None = None
    next_end: datetime | None = None
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class DailyOccurrence:
    """One loss of a series of daily ones; `lowest` is its deepest level, 1.0 = ordinary."""

    started_at: datetime
    ended_at: datetime | None
    lowest: float


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """Details of an incident; what does not apply is None or empty.

    Attributes:
        pattern: the leading pattern of its losses.
        likelihood: how much its timing resembles directed shutdowns.
        segments: its levels over time, oldest first.
        losses: the networks in the order in which they were lost, at most a hundred.
        survivors: the networks that stayed up while the scope was below half of ordinary.
        unresponsive: entities of the scope that never answered; they do not count as lost.
        occurrences: the log of a series of daily losses, oldest first.
        forecast: when the next loss of such a series is due.
        few_voices: whether too few independent vantages are behind its level to be sure of it.
    """

    pattern: Pattern | None = None
    likelihood: ShutdownLikelihood | None = None
    segments: tuple[Segment, ...] = ()
    losses: tuple[NetworkLoss, ...] = ()
    survivors: SurvivingNetworks | None = None
    unresponsive: tuple[Entity, ...] = ()
    occurrences: tuple[DailyOccurrence, ...] = ()
    forecast: Forecast | None = None
    few_voices: bool = False

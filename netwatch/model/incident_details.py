"""What a record says of an incident besides its level: steps, order, who stayed, when, how.

None of it is a statement about a cause.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from netwatch.model.entities import Entity


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of an incident at one level.

    Attributes:
        start, end: from its first bin to the end of its last.
        level: mean of its bins, 1.0 = ordinary.
        low, high: means of their 95 % intervals. They do not shrink with the number of bins:
            the ordinary level and the choice of networks are the same in all of them.
        bins: bins with data in it.
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
        entity: the network.
        at: its onset.
        share: its part of the weight of all measured networks.
        lost_share: the part that was lost with it and before it.
    """

    entity: Entity
    at: datetime
    share: float
    lost_share: float


@dataclass(frozen=True, slots=True)
class SurvivingNetwork:
    """A network that stayed up.

    Attributes:
        entity: the network.
        share: its part of the weight of all networks of the scope.
        level: its median level during the cut.
        low, high: medians of the ends of its 95 % intervals.
    """

    entity: Entity
    share: float
    level: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SurvivingNetworks:
    """Who kept access through a cut; not exhaustive, as any list of what was measured.

    Attributes:
        kept: networks that stayed up, the heaviest first.
        kept_share, lost_share, unknown_share: parts of the scope's weight; they add up to 1.
            Unknown is a network with data in less than half of the bins: it counts as neither.
    """

    kept: tuple[SurvivingNetwork, ...]
    kept_share: float
    lost_share: float
    unknown_share: float


class TimingFeature(StrEnum):
    """One kind of evidence."""

    RECURS = "recurs"
    ON_THE_HOUR = "on-the-hour"
    NIGHT = "night"
    ALL_SIGNALS = "all-signals"
    ROUND_LENGTH = "round-length"
    USUAL_LENGTH = "usual-length"


@dataclass(frozen=True, slots=True)
class ShutdownLikelihood:
    """The evidence, weighed.

    Attributes:
        log_ratio: natural logarithm of P(timing | directed) / P(timing | other); 0 is even.
        parts: (clue, whether it is there, its part of `log_ratio`), what is unknown left out.
        words: `CONSISTENT` where `log_ratio` is above 4, else None: nothing is to be said.
    """

    log_ratio: float
    parts: tuple[tuple[TimingFeature, bool, float], ...]
    words: str | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """When the next loss of a daily pattern is expected, if it recurs.

    Attributes:
        start, end: the expected window, aware UTC.
        low, high: earliest start and latest end that past nights make plausible.

    A forecast is no evidence: it may raise the prior of a loss within low to high, and nothing
    else. No level is set, no bin is skipped and nothing is said because of it.
    """

    start: datetime
    end: datetime
    low: datetime
    high: datetime

    def holds(self, time: datetime) -> bool:
        """Return whether a loss at `time` would be as expected."""
        return self.low <= time < self.high


@dataclass(frozen=True, slots=True)
class DailyOccurrence:
    """One loss in a series of daily ones.

    Attributes:
        started_at, ended_at: as measured; no end while it lasts.
        lowest: deepest level, 1.0 = ordinary.
    """

    started_at: datetime
    ended_at: datetime | None
    lowest: float


@dataclass(frozen=True, slots=True)
class IncidentDetails:
    """All that was found out about an incident; what does not apply is None or empty.

    Attributes:
        words: the pattern in words, English.
        likelihood: how much its timing resembles directed shutdowns.
        segments: its steps, oldest first.
        falls: the networks in the order in which they fell, a hundred at most.
        access: who kept access while the scope was below half of ordinary.
        dead: what is part of the scope and never answers: it tells nothing, and is no loss.
        nights: the log of a series of daily losses, oldest first.
        forecast: when the next loss of such a series is expected, if it recurs.
    """

    words: str = ""
    likelihood: ShutdownLikelihood | None = None
    segments: tuple[Segment, ...] = ()
    falls: tuple[NetworkLoss, ...] = ()
    access: SurvivingNetworks | None = None
    dead: tuple[Entity, ...] = ()
    nights: tuple[DailyOccurrence, ...] = ()
    forecast: Forecast | None = None

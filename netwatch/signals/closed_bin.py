"""What a signal is counted from: the attributed measurements of one closed interval."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.signals.attribution.contingency import TargetCounts


@dataclass(frozen=True, slots=True)
class ClosedBin:
    """The argument of every producer of bins (`SignalSpec.producer`).

    Attributes:
        time, width: start and width of the interval.
        rows: every measurement, with the vantage it is from.
        countable: measurements that count towards reachability: neither their vantage nor a
            local failure explains them.
        targets: the target list, by id.
        counts: trials and successes by vantage and target.
        trusted: vantages that are not broken.
    """

    time: datetime
    width: timedelta
    rows: Sequence[tuple[Vantage, Measurement]]
    countable: Sequence[Measurement]
    targets: Mapping[str, Target]
    counts: TargetCounts
    trusted: AbstractSet[Vantage]

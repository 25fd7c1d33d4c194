"""What happens next in an open incident: a milestone, a change that matters, a return."""

from datetime import datetime

from netwatch.incidents.excursion import Excursion, is_low
from netwatch.incidents.open_incident import OpenIncident
from netwatch.incidents.rules import Rules
from netwatch.model.incident import IncidentState, RevisionReason
from netwatch.model.series import Level
from netwatch.model.thresholds import EVEN_PROBABILITY, RETURNED

GOOD = 0.85
"""Good enough to close: after 19 days of cut Iran settled at 90 % of what it had been."""
_PARTIAL_RISE = 0.15
_PARTIAL_LEVEL = 0.30
_PARTIAL_BINS = 3
_REDROP = 0.10
_MATERIAL = 0.10


def milestone_hours(count: int) -> int:
    """Return the hour of milestone `count`: 1, 3, 6, 12, 24, daily to day 7, then weekly."""
    first = (1, 3, 6, 12, 24, 48, 72, 96, 120, 144, 168)
    if count < len(first):
        return first[count]
    return 168 * (count - len(first) + 2)


def pass_milestones(case: OpenIncident, now: datetime, rules: Rules) -> bool:
    """Count the milestones that `now` has reached; return whether there was a new one."""
    before = case.milestones
    while now - case.started_at >= milestone_hours(case.milestones) * rules.milestone:
        case.milestones += 1
    return case.milestones > before


def advance(
    case: OpenIncident, watch: Excursion | None, now: datetime, rules: Rules
) -> RevisionReason | None:
    """Move `case` on by one bin; return why a revision must be written, None if it need not be."""
    if watch is None or watch.level.time != now or watch.level.value is None:
        return None
    level, value = watch.level, watch.level.value
    if case.state is IncidentState.RESOLVED:
        return None
    if case.trough.value is None or value < case.trough.value:
        case.trough = level
    case.back_from = (case.back_from or now) if value >= RETURNED else None
    case.good_from = (case.good_from or now) if _is_good(level) else None
    if case.good_from is not None and now - case.good_from >= rules.resolve_after:
        # One noisy bin since is no later return.
        case.state = IncidentState.RESOLVED
        case.ended_at = min(case.good_from, case.back_from or case.good_from)
        return RevisionReason.RESTORED
    return _turn(case, level, value) or _told_again(case, level, now, rules)


def _is_good(level: Level) -> bool:
    """Return whether a level is good enough to close, or too noisy a one may be and seems so."""
    value, high = level.value or 0.0, level.high or 0.0
    return value >= GOOD or (high >= GOOD and level.probability < EVEN_PROBABILITY)


def _turn(case: OpenIncident, level: Level, value: float) -> RevisionReason | None:
    """Return PARTIAL or REDROP where the level clearly left, or fell back to, the trough."""
    trough = case.trough.value or 0.0
    if case.state is IncidentState.PARTIALLY_RESTORED:
        if value <= trough + _REDROP and is_low(level):
            case.state, case.rising = IncidentState.CONFIRMED, 0
            return RevisionReason.RELAPSED
        return None
    clear = (level.low or 0.0) > (case.trough.high or 0.0) or level.probability < EVEN_PROBABILITY
    risen = clear and value > trough + _PARTIAL_RISE and value > _PARTIAL_LEVEL
    case.rising = case.rising + 1 if risen else 0
    if case.rising >= _PARTIAL_BINS:
        case.state = IncidentState.PARTIALLY_RESTORED
        return RevisionReason.PARTIALLY_RESTORED
    return None


def _told_again(
    case: OpenIncident, level: Level, now: datetime, rules: Rules
) -> RevisionReason | None:
    """Return MILESTONE at its hour, MATERIAL where the level left what was last told."""
    if pass_milestones(case, now, rules):
        return RevisionReason.MILESTONE
    if now - case.told_at < rules.update_every / 4:
        return None
    low, high = case.told.low, case.told.high
    if low is None or high is None or level.value is None or case.told.value is None:
        return None
    outside = (level.low or 0.0) > high or (level.high or 0.0) < low
    moved = abs(level.value - case.told.value) >= _MATERIAL
    return RevisionReason.MATERIAL if outside and moved else None

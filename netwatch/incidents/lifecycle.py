"""State changes of an open incident: milestones, material changes, returns, relapses, expiry."""

from datetime import datetime
from statistics import median

from netwatch.config import IncidentConfig
from netwatch.incidents.excursion import BinRun, deeper, is_low
from netwatch.incidents.open_incident import OpenIncident
from netwatch.incidents.patterns import is_partial
from netwatch.model.incident import IncidentState, RevisionReason
from netwatch.model.series import Level
from netwatch.model.signals import signal_spec
from netwatch.model.thresholds import EVEN_PROBABILITY, RESTORED, RETURNED

_RISING_BINS = 3
"""Bins in a row clearly above the trough that make a partial restoration."""
_RELAPSE_MARGIN = 0.10
"""Level above the trough, up to which a partial restoration is over."""
_MATERIAL_CHANGE = 0.10
"""Change of the level since the newest revision that is published before the next milestone."""
_MATERIAL_INTERVAL = 1 / 4
"""Share of `update_every` between material changes."""
_SETTLED = 0.01
"""Distance from the final level within which a steady signal has settled."""
_FIRST_MILESTONES = (1, 3, 6, 12, 24, 48, 72, 96, 120, 144, 168)
"""Hours; later milestones are weekly."""


def milestone_hours(count: int) -> int:
    """Return the hour of milestone `count`: 1, 3, 6, 12, 24, daily to day 7, then weekly."""
    if count < len(_FIRST_MILESTONES):
        return _FIRST_MILESTONES[count]
    return 168 * (count - len(_FIRST_MILESTONES) + 2)


def pass_milestones(incident: OpenIncident, now: datetime, config: IncidentConfig) -> bool:
    """Count the milestones up to `now`; return whether there is a new one."""
    before = incident.milestones
    while now - incident.started_at >= milestone_hours(incident.milestones) * config.milestone:
        incident.milestones += 1
    return incident.milestones > before


def advance(incident: OpenIncident, level: Level, config: IncidentConfig) -> RevisionReason | None:
    """Advance a confirmed incident by one bin; return the reason of a new revision, or None.

    `level` is that of its series, with a value.
    """
    if incident.state is IncidentState.RESOLVED:
        return None
    now, value = level.time, level.value or 0.0
    incident.trough = deeper(incident.trough, level)
    incident.recovering = incident.recovering.extend(now, holds=value >= RETURNED)
    incident.recovered = incident.recovered.extend(now, holds=_may_resolve(level, value))
    since = incident.recovered.since
    if since is not None and now - since >= config.resolve_after:
        # A noisy bin after the return does not move the end.
        incident.state = IncidentState.RESOLVED
        incident.ended_at = min(since, incident.recovering.since or since)
        return RevisionReason.RESTORED
    turned = _partial_or_relapse(incident, level, value)
    return turned or _update_due(incident, level, config)


def advance_provisional(
    incident: OpenIncident, level: Level, config: IncidentConfig, *, contradicted: bool
) -> RevisionReason | None:
    """Advance a provisional incident as `advance` does a confirmed one.

    After its minimum duration it may be published as unconfirmed. It expires once the level
    is back, or an active signal contradicts it, for `reopen_window`.
    """
    now, value = level.time, level.value or 0.0
    incident.trough = deeper(incident.trough, level)
    # A loss of a fifth of a network's routes starts above the level that ends a collapse.
    returned = max(RETURNED, (1 + (incident.trough.value or 0.0)) / 2)
    back = contradicted or value >= returned or level.probability < EVEN_PROBABILITY
    incident.recovery = [*incident.recovery, (now, value)] if back else []
    if back and now - incident.recovery[0][0] >= config.reopen_window:
        incident.state, incident.ended_at = IncidentState.EXPIRED, _recovered_at(incident)
        return RevisionReason.EXPIRED
    sustained = now - incident.started_at >= config.min_duration(incident.entity.kind)
    if incident.evidence_level == 0 and not back and sustained:
        incident.evidence_level = 1
        return RevisionReason.SUSTAINED
    return None


def _may_resolve(level: Level, value: float) -> bool:
    """Return whether a level is restored, or its interval is too wide to say it is not."""
    uncertain = (level.high or 0.0) >= RESTORED and level.probability < EVEN_PROBABILITY
    return value >= RESTORED or uncertain


def _partial_or_relapse(
    incident: OpenIncident, level: Level, value: float
) -> RevisionReason | None:
    """Follow a level that clearly left its trough, or fell back to it."""
    trough = incident.trough.value or 0.0
    if incident.state is IncidentState.PARTIALLY_RESTORED:
        if value <= trough + _RELAPSE_MARGIN and is_low(level):
            incident.state, incident.rising = IncidentState.CONFIRMED, BinRun()
            return RevisionReason.RELAPSED
        return None
    separate = (level.low or 0.0) > (incident.trough.high or 0.0)
    separate = separate or level.probability < EVEN_PROBABILITY
    risen = separate and is_partial(value, trough)
    incident.rising = incident.rising.extend(level.time, holds=risen)
    if incident.rising.bins >= _RISING_BINS:
        incident.state = IncidentState.PARTIALLY_RESTORED
        return RevisionReason.PARTIALLY_RESTORED
    return None


def _update_due(
    incident: OpenIncident, level: Level, config: IncidentConfig
) -> RevisionReason | None:
    """Return MILESTONE from its hour on, MATERIAL if the level left that of the newest revision.

    A milestone less than `update_every` after the newest revision waits until then.
    """
    published, since = incident.published, level.time - incident.published.time
    if since >= config.update_every and pass_milestones(incident, level.time, config):
        return RevisionReason.MILESTONE
    if since < _MATERIAL_INTERVAL * config.update_every:
        return None
    if published.low is None or published.high is None or published.value is None:
        return None
    outside = (level.low or 0.0) > published.high or (level.high or 0.0) < published.low
    moved = abs((level.value or 0.0) - published.value) >= _MATERIAL_CHANGE
    return RevisionReason.MATERIAL if outside and moved else None


def _recovered_at(incident: OpenIncident) -> datetime:
    """Return the first bin of the return; of a steady signal, the first after which it settled."""
    recovery = incident.recovery
    if not signal_spec(incident.signal).steady:
        return recovery[0][0]
    settled = median(value for _, value in recovery[len(recovery) // 2 :]) - _SETTLED
    below = [index for index, (_, value) in enumerate(recovery) if value < settled]
    return recovery[min(below[-1] + 1 if below else 0, len(recovery) - 1)][0]

"""Patterns of losses in words, without a cause."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from netwatch.model.incident_details import Pattern
from netwatch.publish.language import ENGLISH, Language
from netwatch.publish.time_format import Moment


def pattern_text(pattern: Pattern, timezone: str, language: Language = ENGLISH) -> str:
    """Return a pattern in words, with times local to `timezone` and in UTC."""
    zone = ZoneInfo(timezone)

    def clock(time: datetime) -> Moment:
        local, utc = (language.clock(time.astimezone(at), "HH:mm") for at in (zone, UTC))
        return Moment(local, utc)

    window = [clock(time) for time in (pattern.next_start, pattern.next_end) if time]
    measures = dict(pattern.measures)
    return language.text("pattern", str(pattern.name), measures, clock(pattern.since), window)

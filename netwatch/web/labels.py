"""What pages say about levels, incidents and times, in plain words."""

from netwatch.model.entities import EntityTree
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.percent import depth_words, percent_phrase
from netwatch.model.series import Level
from netwatch.publish.display_names import full_name
from netwatch.publish.incident_json import is_open
from netwatch.publish.level_queries import newest_percent
from netwatch.publish.time_format import utc_text


def headline(now_open: list[Incident], places: EntityTree) -> str:
    """Return one sentence of state."""
    if not now_open:
        return "No disruption is known now."
    reviewed = sum(incident.evidence >= 3 for incident in now_open)
    counts = ((reviewed, "confirmed"), (len(now_open) - reviewed, "unconfirmed"))
    parts = [
        f"{count} {word} disruption{'' if count == 1 else 's'}" for count, word in counts if count
    ]
    names = ", ".join(full_name(incident.entity, places) for incident in now_open[:3])
    more = f" and {len(now_open) - 3} more" if len(now_open) > 3 else ""
    return f"{' and '.join(parts)} now: {names}{more}."


def incident_label(incident: Incident) -> str:
    """Return the label that stands over an incident."""
    if incident.state is IncidentState.MERGED:
        return "MERGED"
    if not is_open(incident):
        return "RESTORED"
    return "CONFIRMED" if incident.evidence >= 3 else "UNCONFIRMED"


def revision_line(incident: Incident) -> tuple[int, str, str, str]:
    """Return number, time, reason and level of a revision."""
    words = percent_phrase(incident.percent)
    return incident.revision, utc_text(incident.at), str(incident.reason), words


def level_words(level: Level | None) -> str:
    """Return a level as a table shows it: "7%", or words."""
    percent = newest_percent(level) if level else None
    if percent is None:
        return "no data"
    return percent.text or depth_words(percent.value)


def level_tone(level: Level | None) -> str:
    """Return the class that colours a level; the words beside it say the same."""
    value = level.value if level else None
    return "nodata" if value is None else depth_tone(value * 100)


def depth_tone(percent: float) -> str:
    """Return the class that colours a depth; the words beside it say the same."""
    if percent >= 90:
        return "ordinary"
    return "reduced" if percent >= 50 else "low"


def cell_text(value: float | None) -> str:
    """Return a figure of a data table: one decimal, a measured zero told from no data."""
    return "no data" if value is None else f"{value:.1f}"

"""Labels and colour classes of levels and incidents on pages."""

from collections.abc import Sequence

from netwatch.model.entities import EntityTree
from netwatch.model.incident import OPEN_STATES, Incident, IncidentState
from netwatch.model.series import Level
from netwatch.publish.display_names import full_name
from netwatch.publish.editorial_rules import CONFIRMED_EVIDENCE
from netwatch.publish.language import Language
from netwatch.publish.level_queries import level_percent

_MOST_NAMED = 3
_ORDINARY, _REDUCED = 90, 50
"""Percent of ordinary from which on the colour is that of an ordinary, a reduced level."""


def headline(now_open: Sequence[Incident], tree: EntityTree, language: Language) -> str:
    """Return the number and names of open incidents in one sentence."""
    confirmed = sum(incident.evidence_level >= CONFIRMED_EVIDENCE for incident in now_open)
    names = [full_name(one.entity, tree, language) for one in now_open[:_MOST_NAMED]]
    unnamed = len(now_open) - len(names)
    unconfirmed = len(now_open) - confirmed
    return language.text("disruptions_now", confirmed, unconfirmed, names, unnamed)


def incident_status(incident: Incident) -> str:
    """Return the code of an incident's label: merged, restored, confirmed or unconfirmed."""
    if incident.state is IncidentState.MERGED:
        return "merged"
    if incident.state not in OPEN_STATES:
        return "restored"
    return "confirmed" if incident.evidence_level >= CONFIRMED_EVIDENCE else "unconfirmed"


def level_text(level: Level | None, language: Language) -> str:
    """Return a level as tables show it: "7%", or words."""
    percent = level_percent(level) if level else None
    return language.text("percent", percent) if percent else language.text("no_data")


def colour_class(percent: float | None) -> str:
    """Return the CSS class of a level in percent; the text next to it says the same."""
    if percent is None:
        return "nodata"
    if percent >= _ORDINARY:
        return "ordinary"
    return "reduced" if percent >= _REDUCED else "low"

"""Checks the published incidents and posts of a drill against its ground truth."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.lab.drill.loopback_country import Country, Network
from netwatch.model.entities import EntityKind
from netwatch.model.incident import CORROBORATED, Incident, IncidentState
from netwatch.protocols import OutboxEntry

_LEVEL_TOLERANCE = 5.0
"""Percentage points; one of twelve networks is 1 to 15."""
_TIME_TOLERANCE = timedelta(seconds=5)
"""Bins of one second, two seconds of grace, and scheduling."""


@dataclass(slots=True)
class GroundTruth:
    """The networks that were cut and restored, and when."""

    cut: list[tuple[datetime, Network]]
    restored: list[tuple[datetime, Network]]

    def level(self, country: Country) -> float:
        """Return the true level while all cut networks were dark, in percent."""
        whole = sum(network.weight for network in country.networks)
        lost = sum(network.weight for _, network in self.cut)
        return 100 * (whole - lost) / whole


@dataclass(frozen=True, slots=True)
class Assertion:
    """One claim about the published record, whether it holds, and the published value."""

    claim: str
    holds: bool
    seen: str


def check_drill(
    truth: GroundTruth,
    country: Country,
    incidents: Sequence[Incident],
    posts: Sequence[OutboxEntry],
) -> list[Assertion]:
    """Return the assertions on one finished drill."""
    public = [
        incident
        for incident in incidents
        if incident.evidence_level >= CORROBORATED and not incident.merged_into
    ]
    names = ", ".join(f"{incident.id} ({incident.entity})" for incident in public) or "none"
    found = [Assertion("one public incident", len(public) == 1, names)]
    national = next((one for one in public if one.entity == country.entity), None)
    if national is None:
        return [*found, Assertion("the incident is national", holds=False, seen=names)]
    found.append(_check_level(truth, country, national))
    found.append(_check_order(truth, national))
    found.extend(_check_times(truth, national))
    found.extend(_check_posts(posts))
    return found


def _check_level(truth: GroundTruth, country: Country, incident: Incident) -> Assertion:
    true, published = truth.level(country), incident.trough.value
    holds = abs(true - published) <= _LEVEL_TOLERANCE
    return Assertion(
        f"the level at its lowest is {true:.0f}% of ordinary", holds, f"{published:.1f}%"
    )


def _check_order(truth: GroundTruth, incident: Incident) -> Assertion:
    true = [str(network.asn) for _, network in truth.cut]
    networks = [child for child in incident.affected if child.entity.kind is EntityKind.ASN]
    published = [child.entity.code for child in sorted(networks, key=lambda one: one.started_at)]
    return Assertion(
        f"{len(true)} networks fell in their order", published == true, " ".join(published)
    )


def _check_times(truth: GroundTruth, incident: Incident) -> list[Assertion]:
    began, ended = truth.cut[0][0], truth.restored[-1][0]
    published = f"{incident.started_at:%H:%M:%S}"
    onset = abs(incident.started_at - began) <= _TIME_TOLERANCE
    over = incident.state is IncidentState.RESOLVED and incident.ended_at is not None
    last = incident.ended_at or began
    end = f"{last:%H:%M:%S}" if over else str(incident.state)
    near = over and abs(last - ended) <= 2 * _TIME_TOLERANCE
    return [
        Assertion(f"it began about {began:%H:%M:%S} UTC", onset, published),
        Assertion(f"it ended about {ended:%H:%M:%S} UTC", near, end),
    ]


def _check_posts(posts: Sequence[OutboxEntry]) -> list[Assertion]:
    kinds = [entry.post.kind for entry in posts]
    keys = {entry.post.key for entry in posts}
    states = sorted({str(entry.state) for entry in posts})
    return [
        Assertion("the beginning and the end were posted",
                any(kind.startswith("confirmed") for kind in kinds) and "restored" in kinds,
                " ".join(kinds) or "no posts"),
        Assertion("every post went out, none twice",
                len(keys) == len(posts) and states == ["sent"],
                f"{len(posts)} posts, {' '.join(states)}"),
    ]  # fmt: skip

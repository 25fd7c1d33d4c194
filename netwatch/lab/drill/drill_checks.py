"""Did the observatory tell what the drill did? One line for every claim, true or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.lab.drill.simulated_country import Country, Network
from netwatch.model.entities import EntityKind
from netwatch.model.incident import Incident, IncidentState
from netwatch.protocols import OutboxEntry

_LEVEL_TOLERANCE = 5.0
_TIME_TOLERANCE = timedelta(seconds=5)


@dataclass(slots=True)
class GroundTruth:
    """What the drill did: which network was cut and let back when."""

    cut: list[tuple[datetime, Network]]
    restored: list[tuple[datetime, Network]]

    def level(self, country: Country) -> float:
        """Return the true level while all cut networks were dark, in percent."""
        whole = sum(network.weight for network in country.networks)
        lost = sum(network.weight for _, network in self.cut)
        return 100 * (whole - lost) / whole


@dataclass(frozen=True, slots=True)
class Assertion:
    """One claim, whether it holds, and what was seen."""

    claim: str
    holds: bool
    seen: str


def check_drill(
    course: GroundTruth,
    country: Country,
    incidents: Sequence[Incident],
    posts: Sequence[OutboxEntry],
) -> list[Assertion]:
    """Return the findings on one finished drill."""
    public = [
        incident
        for incident in incidents
        if incident.evidence_level >= 2 and not incident.merged_into
    ]
    names = ", ".join(f"{incident.id} ({incident.entity})" for incident in public) or "none"
    found = [Assertion("one public incident", len(public) == 1, names)]
    national = next((one for one in public if one.entity == country.entity), None)
    if national is None:
        return [*found, Assertion("the incident is national", holds=False, seen=names)]
    found.append(_judge_level(course, country, national))
    found.append(_judge_order(course, national))
    found.extend(_judge_times(course, national))
    found.extend(_judge_posts(posts))
    return found


def _judge_level(course: GroundTruth, country: Country, incident: Incident) -> Assertion:
    """Compare the lowest level told with the true one."""
    true, told = course.level(country), incident.trough.value
    holds = abs(true - told) <= _LEVEL_TOLERANCE
    return Assertion(f"the level at its lowest is {true:.0f}% of ordinary", holds, f"{told:.1f}%")


def _judge_order(course: GroundTruth, incident: Incident) -> Assertion:
    """Compare the order in which networks fell."""
    true = [str(network.asn) for _, network in course.cut]
    networks = [child for child in incident.affected if child.entity.kind is EntityKind.ASN]
    told = [child.entity.code for child in sorted(networks, key=lambda one: one.started_at)]
    return Assertion(f"{len(true)} networks fell in their order", told == true, " ".join(told))


def _judge_times(course: GroundTruth, incident: Incident) -> list[Assertion]:
    """Compare onset and end, and whether the end was told."""
    began, ended = course.cut[0][0], course.restored[-1][0]
    told = f"{incident.started_at:%H:%M:%S}"
    onset = abs(incident.started_at - began) <= _TIME_TOLERANCE
    over = incident.state is IncidentState.RESOLVED and incident.ended_at is not None
    last = incident.ended_at or began
    end = f"{last:%H:%M:%S}" if over else str(incident.state)
    near = over and abs(last - ended) <= 2 * _TIME_TOLERANCE
    return [
        Assertion(f"it began about {began:%H:%M:%S} UTC", onset, told),
        Assertion(f"it ended about {ended:%H:%M:%S} UTC", near, end),
    ]


def _judge_posts(posts: Sequence[OutboxEntry]) -> list[Assertion]:
    """Check that the beginning and the end were told, and nothing twice."""
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

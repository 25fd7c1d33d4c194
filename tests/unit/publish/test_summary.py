"""Key facts of an incident: what its page and the terminal say."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from netwatch.model.entities import EntityTree
from netwatch.model.incident import Incident
from netwatch.model.incident_details import IncidentDetails, Segment
from netwatch.publish.incident_json import incident_object
from netwatch.publish.language import ENGLISH
from netwatch.publish.summary import key_facts

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("signals", "steps"),
    [
        ((("bgp", True), ("reachability", True)), ["7%", "40%"]),
        ((("bgp", True), ("telescope", True)), ["near-total loss", "severely reduced"]),
        ((("bgp", True), ("reachability", None)), ["near-total loss", "severely reduced"]),
    ],
)
def test_steps_have_percentages_only_if_an_active_signal_has_data(
    make_incident: Callable[..., Incident],
    iran: EntityTree,
    signals: tuple[tuple[str, bool | None], ...],
    steps: list[str],
) -> None:
    start = make_incident().started_at
    segments = (
        Segment(start, start + HOUR, 0.07, 0.05, 0.09, 6),
        Segment(start + HOUR, start + 2 * HOUR, 0.40, 0.38, 0.42, 6),
    )
    incident = make_incident(signals=signals, details=IncidentDetails(segments=segments))
    fact = dict(key_facts(incident, iran))[ENGLISH.text("fact_steps")]
    assert [step.partition(" from ")[0] for step in fact.split("; ")] == steps


def test_few_independent_vantages_are_a_fact(
    make_incident: Callable[..., Incident], iran: EntityTree
) -> None:
    few = make_incident(details=IncidentDetails(few_voices=True))
    assert dict(key_facts(few, iran))["Certainty"].endswith("cannot be sure")
    assert "Certainty" not in dict(key_facts(make_incident(), iran))
    assert incident_object(few, iran)["details"]["few_voices"] is True  # type: ignore[index]

"""`netwatch outages show`: one incident with all that was found out."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from netwatch.app.factories import write_places
from netwatch.cli.main import app
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.incident import Incident
from netwatch.model.incident_details import (
    DailyOccurrence,
    FeatureEvidence,
    Forecast,
    IncidentDetails,
    NetworkLoss,
    Pattern,
    PatternName,
    Segment,
    ShutdownLikelihood,
    SurvivingNetwork,
    SurvivingNetworks,
    TimingFeature,
)
from netwatch.store.sqlite import SqliteStore

NETWORK = Entity.parse("asn:44244")


@pytest.fixture
def recorded(make_incident: Callable[..., Incident]) -> Incident:
    """An incident of which everything was found out."""
    incident = make_incident()
    start, hour = incident.started_at, timedelta(hours=1)
    return replace(
        incident,
        details=IncidentDetails(
            pattern=Pattern(
                PatternName.PROGRESSIVE,
                start,
                (("networks", 11.0), ("networks_measured", 12.0)),
            ),
            likelihood=ShutdownLikelihood(
                4.6,
                (FeatureEvidence(TimingFeature.RECURS, present=True, log_ratio=3.6),),
                resembles_shutdown=True,
            ),
            segments=(
                Segment(start, start + hour, 0.4, 0.36, 0.44, 12),
                Segment(start + hour, start + 12 * hour, 0.07, 0.05, 0.09, 132),
            ),
            losses=(NetworkLoss(NETWORK, start, 0.25, 0.25),),
            survivors=SurvivingNetworks(
                (SurvivingNetwork(NETWORK, 0.25, 0.98, 0.9, 1.0),), 0.25, 0.7, 0.05
            ),
            unresponsive=(Entity.parse("asn:64511"),),
            occurrences=(DailyOccurrence(start, start + 5 * hour, 0.03),),
            forecast=Forecast(
                start + 24 * hour, start + 29 * hour, start + 23 * hour, start + 30 * hour
            ),
        ),
    )


@pytest.fixture
def folder(tmp_path: Path, recorded: Incident, iran: EntityTree) -> Path:
    SqliteStore(tmp_path / "series.sqlite").close()
    ledger = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    ledger.record([recorded], [])
    ledger.close()
    write_places(tmp_path, iran)
    return tmp_path


def test_the_record_round_trips_through_the_ledger(folder: Path, recorded: Incident) -> None:
    ledger = SqlLedger(ledger_url(folder / "ledger.sqlite"))
    assert ledger.incidents() == [recorded]
    ledger.close()


def test_json_has_all_details_and_no_cause(folder: Path) -> None:
    result = CliRunner().invoke(
        app, ["outages", "show", "NW-IR-2019-0042", "--json", "--data", str(folder)]
    )
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    details = shown["details"]
    assert shown["cause"] is None
    assert details["likelihood"]["log_ratio"] == 4.6
    assert details["states_cause"] is False
    assert [step["level"] for step in details["segments"]] == [0.4, 0.07]
    assert details["losses"][0]["id"] == "44244"
    assert details["survivors"]["kept_share"] == 0.25
    assert details["exhaustive"] is False
    assert details["unresponsive"][0]["id"] == "64511"
    assert details["occurrences"][0]["lowest"] == 0.03
    assert details["forecast"]["start"].endswith("Z")


def test_text_speaks_of_likelihood_only(folder: Path) -> None:
    result = CliRunner().invoke(app, ["outages", "show", "NW-IR-2019-0042", "--data", str(folder)])
    assert result.exit_code == 0, result.output
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines()[1:])
    assert lines["Cause"] == "not established"
    assert "not a statement of cause" in lines["Timing"]
    assert "consistent with" in lines["Timing"]
    assert "Who kept access" in result.stdout
    assert "Not exhaustive." in result.stdout


def test_an_unknown_number_gives_a_one_line_error(folder: Path) -> None:
    result = CliRunner().invoke(app, ["outages", "show", "NW-XX-1", "--data", str(folder)])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "no such incident" in result.stderr

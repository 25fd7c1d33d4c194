"""Late measurements of closed bins, as an operator decides about them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from netwatch.cli.main import app
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.amendment import Amendment, AmendmentState
from netwatch.model.entities import Entity
from netwatch.model.series import SeriesKey

START = datetime(2026, 1, 8, 12, tzinfo=UTC)


def late(entity: str, minutes: int) -> Amendment:
    key = SeriesKey("reachability", Entity.parse(entity))
    time = START + timedelta(minutes=minutes)
    return Amendment(key, time, 0.02, 0.98, late_share=0.75, owners=1, networks=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Data of an observatory in which two hours of a country and one of a network wait."""
    ledger = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    for minutes in (0, 5, 60):
        found = [late("country:IR", minutes)]
        found += [late("asn:44244", minutes)] if minutes == 60 else []
        ledger.amendments.replace(found[0].time, found, at=START)
    ledger.close()
    return tmp_path


def netwatch(folder: Path, *command: str) -> Result:
    return CliRunner().invoke(app, ["amendments", *command, "--data", str(folder)])


def states(folder: Path) -> list[str]:
    lines = netwatch(folder, "list", "--all", "--json").stdout.splitlines()
    return [json.loads(line)["state"] for line in lines]


def test_hours_are_listed_as_spans_with_both_levels(folder: Path) -> None:
    result = netwatch(folder, "list", "--scope", "IR")
    assert result.exit_code == 0
    first = next(line for line in result.stdout.splitlines() if "2026-01-08 12:00" in line)
    for word in ("country:IR", "reachability", "2026-01-08 14:00", "2%", "98%", "75%", "pending"):
        assert word in first
    assert "1 amended spans" in result.stderr
    (one,) = map(
        json.loads, netwatch(folder, "list", "--scope", "IR", "--json").stdout.splitlines()
    )
    assert (one["start"], one["end"]) == ("2026-01-08T12:00:00Z", "2026-01-08T14:00:00Z")
    assert (one["bins"], one["percent_then"], one["percent_now"]) == (3, 2.0, 98.0)
    assert (one["owners"], one["networks"], one["late_share"]) == (1, 2, 0.75)


def test_three_days_of_a_network_are_one_line(folder: Path) -> None:
    """Agents that were cut off for 72 hours send true data of all of them."""
    ledger = SqlLedger(ledger_url(folder / "ledger.sqlite"))
    for hour in (*range(24, 96), 97):
        one = late("asn:197207", 60 * hour)
        ledger.amendments.replace(one.time, [one], at=START)
    ledger.close()
    lines = netwatch(folder, "list", "--scope", "AS197207", "--json").stdout.splitlines()
    spans = [(one["start"], one["end"], one["bins"]) for one in map(json.loads, lines)]
    assert spans == [
        ("2026-01-09T12:00:00Z", "2026-01-12T12:00:00Z", 72),
        ("2026-01-12T13:00:00Z", "2026-01-12T14:00:00Z", 1),
    ]
    result = netwatch(folder, "accept", "AS197207")
    assert result.stdout == "73 amended hours of asn:197207: accepted\n"


def test_a_scope_is_accepted_or_rejected_within_a_time(folder: Path) -> None:
    result = netwatch(folder, "accept", "IR", "--until", "2026-01-08T13:00")
    assert result.stdout == "1 amended hours of country:IR: accepted\n"
    assert netwatch(folder, "reject", "AS44244").exit_code == 0
    assert states(folder) == [AmendmentState.ACCEPTED, AmendmentState.REJECTED, "pending"]
    assert netwatch(folder, "reject", "IR").exit_code == 0
    assert "pending" not in states(folder)


def test_without_any_there_is_nothing_to_decide(folder: Path) -> None:
    result = netwatch(folder, "accept", "MM")
    assert result.exit_code == 2
    assert "none waits" in result.stderr

"""Provisional incidents, through a backtest."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from netwatch.lab.backtest.runner import run_backtest

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
COLLAPSE = 24 * 6


def table(entity: str, **signals: float) -> pd.DataFrame:
    """Return eight days of hours in which each signal falls to its depth on the seventh."""
    rows = []
    for signal, depth in signals.items():
        for hour in range(24 * 8):
            ordinary = 1000 + 40 * ((hour * 7919) % 11 - 5) / 5
            lost = COLLAPSE <= hour < COLLAPSE + 12
            value = ordinary * (depth if lost else 1.0)
            rows.append((START + hour * HOUR, entity, signal, value))
    frame = pd.DataFrame(rows, columns=["time", "entity", "signal", "value"])
    return frame.astype({"time": str, "value": str})


@pytest.mark.parametrize("signal", ["traffic", "telescope", "agents"])
def test_a_backtest_is_provisional_within_four_bins_and_never_confirms(signal: str) -> None:
    _, [incident] = run_backtest(table("country:XT", **{signal: 0.02}))
    assert incident["confirmed_at"] is None
    fell = START + COLLAPSE * HOUR
    assert datetime.fromisoformat(str(incident["provisional_at"])) <= fell + 4 * HOUR
    assert datetime.fromisoformat(str(incident["started_at"])) == fell
    assert datetime.fromisoformat(str(incident["ended_at"])) == fell + 12 * HOUR


@pytest.mark.parametrize(("depth", "count"), [(0.6, 0), (0.3, 1)])
def test_routes_alone_open_an_incident_of_a_country_once_half_is_lost(
    depth: float, count: int
) -> None:
    _, incidents = run_backtest(table("country:XT", bgp=depth))
    assert len(incidents) == count
    assert all(incident["confirmed_at"] is None for incident in incidents)


def test_routes_alone_open_an_incident_of_a_network() -> None:
    _, [incident] = run_backtest(table("asn:64496", bgp=0.6))
    assert incident["confirmed_at"] is None


def test_an_active_signal_confirms_after_a_provisional_start() -> None:
    _, [incident] = run_backtest(table("country:XT", probing=0.02, traffic=0.02))
    assert incident["confirmed_at"] is not None
    assert str(incident["provisional_at"]) <= str(incident["confirmed_at"])


def test_a_blocked_site_is_an_incident_of_the_site_only() -> None:
    site = table("domain:example.org", **{"blocking:XT": 0.0, "reachability": 1.0})
    country = table("country:XT", probing=1.0)
    frame = pd.concat([site, country])
    shares = frame["signal"].isin(["blocking:XT", "reachability"])
    frame["total"] = ""
    frame.loc[shares, "total"] = "20"
    value = frame.loc[shares, "value"].astype(float)
    frame.loc[shares, "value"] = np.where(value < 500, "0", "20")
    _, [incident] = run_backtest(frame)
    assert incident["entity"] == "domain:example.org"
    assert incident["confirmed_at"] is not None
    assert incident["signals"] == ["blocking:XT"]

"""Speed of a domain relative to the vantage's controls."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from closed_bins import closed_bin

from netwatch.model.measurement import Measurement, Observation, Target, Vantage
from netwatch.signals.bins import build_bins
from netwatch.signals.relative_speed import slowness, speed_bins

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
VANTAGES = [Vantage(f"v{number}", "IR", 64500 + number % 2) for number in range(4)]
BOOK = {
    "site": Target("site", "transfer", "192.0.2.1", domain="site.example"),
    "control": Target("control", "tcp", "192.0.2.2", domain="c.example", group="control"),
}


def measured(target: str, operation: str, seconds: float, detail: str = "") -> Measurement:
    steps = (Observation(operation, None, seconds, detail),)
    return Measurement(
        target, "any", START, None, "", host_responded=True, seconds=seconds, observations=steps
    )


def test_a_halved_rate_halves_the_series_and_a_slow_uplink_does_not() -> None:
    def value(uplink: float, throttle: float) -> dict[str, float]:
        rows = []
        for vantage in VANTAGES:
            rows.append((vantage, measured("site", "transfer", uplink * throttle, "1000")))
            rows.append((vantage, measured("control", "connect", uplink)))
        bins = speed_bins(closed_bin(START, rows, BOOK))
        return {one.series.signal: one.value for one in bins}

    assert value(1, 1) == {
        "speed:AS64500": pytest.approx(1000),
        "speed:AS64501": pytest.approx(1000),
        "speed:IR": pytest.approx(1000),
    }
    assert value(3, 1) == value(1, 1)
    assert value(1, 2)["speed:IR"] == pytest.approx(500)


def test_measurements_without_a_speed_do_not_count() -> None:
    failed = Measurement(
        "site", "tcp", START, "connection_reset", "reset", host_responded=True, seconds=1.0
    )
    assert slowness(failed) is None
    assert slowness(measured("site", "transfer", 1.0, "")) is None
    assert slowness(measured("site", "resolve", 1.0)) is None
    assert slowness(measured("site", "tls_handshake", 0.2)) == 0.2
    rows = [(VANTAGES[0], measured("site", "transfer", 1.0, "1000"))]
    without_controls = {"site": BOOK["site"]}
    assert speed_bins(closed_bin(START, rows, BOOK)) == []  # no measurement of its controls
    assert speed_bins(closed_bin(START, rows, without_controls, trusted=())) == []
    alone = speed_bins(closed_bin(START, rows, without_controls))
    assert alone[0].value == 1000
    assert alone[0].total is None


def test_a_portal_has_no_speed() -> None:
    targets = {"site": BOOK["site"]}
    rows = [(vantage, measured("site", "transfer", 1.0, "1000")) for vantage in VANTAGES]
    portal = [(vantage, replace(row, scope="local")) for vantage, row in rows]
    for measured_rows, has_speed in ((rows, True), (portal, False)):
        bins = build_bins(measured_rows, targets, width=timedelta(minutes=5))
        assert any(one.series.signal.startswith("speed") for one in bins) is has_speed

"""Gauges of the observatory's own health; no vantage is named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from netwatch.app.data_files import PRESENCE_FILE
from netwatch.app.health_metrics import HealthMetrics, fleet_health, health_points
from netwatch.app.observatory import open_context
from netwatch.config import Config
from netwatch.model.measurement import Vantage
from netwatch.signals.presence.log import PresenceLog, PresenceState, Session
from netwatch.store.influx.health_points import merge_small_networks, render_health

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def stay(number: int, network: int) -> Session:
    return Session(Vantage(f"agent-{number}", "XT", network), "one", "boot", 1, 1, START)


def test_fleet_health_counts_online_and_enrolled_agents(tmp_path: Path) -> None:
    with PresenceLog(tmp_path / PRESENCE_FILE) as log:
        for number in range(5):
            log.opened(stay(number, 64500 if number < 4 else 64501))
        log.closed(stay(0, 64500), PresenceState.LOST, at=START + HOUR)
        log.closed(stay(1, 64500), PresenceState.STOP, at=START + HOUR)
    points = fleet_health(Config(data=str(tmp_path)), START + 2 * HOUR)
    assert [(one.tags, one.fields) for one in points] == [
        ({"asn": asn, "version": "unknown"}, {"online": online, "enrolled": n, "networks": 1})
        for asn, online, n in (("64500", 2, 3), ("64501", 1, 1))
    ]
    lines = "\n".join(map(render_health, points))
    assert "agent-" not in lines
    assert "silent_seconds" not in lines
    [_, merged] = merge_small_networks(points)
    assert merged.tags["asn"] == "withheld"
    assert (merged.fields["online"], merged.fields["queue"]) == (1, None)


def test_without_presence_data_there_is_no_fleet_health(tmp_path: Path) -> None:
    assert fleet_health(Config(data=str(tmp_path)), START) == []
    assert not (tmp_path / PRESENCE_FILE).exists()


def test_one_registry_has_the_health_of_every_part(tmp_path: Path) -> None:
    """`/metrics` and the dashboards read the same gauges, and small networks stay merged."""
    with PresenceLog(tmp_path / PRESENCE_FILE) as log:
        log.opened(stay(0, 64500))
        log.opened(stay(1, 64501))
    config = Config(data=str(tmp_path))
    at = START + HOUR
    with open_context(config) as context:
        context.store.put_bins([], closed_until=START)
        registry = CollectorRegistry()
        registry.register(HealthMetrics(config, context.store, context.ledger, clock=lambda: at))
        lines = generate_latest(registry).decode().splitlines()
        points = health_points(registry, at)
    assert 'netwatch_pipeline_delay_seconds{stage="analysis"} 3600.0' in lines
    assert 'netwatch_outbox_posts{channel="file",state="needs_review"} 0.0' in lines
    assert "netwatch_review_waiting 0.0" in lines
    assert not any("onset_to_post" in line for line in lines if not line.startswith("#"))
    [fleet] = [point for point in points if point.measurement == "fleet"]
    assert fleet.tags == {"asn": "withheld", "version": "unknown"}
    assert fleet.fields == {"online": 2.0, "enrolled": 2.0, "networks": 2.0}
    assert merge_small_networks([fleet])[0].fields["networks"] == 2


def test_what_cannot_be_read_is_absent_from_health_and_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = Config(data=str(tmp_path))
    with open_context(config) as context:
        (tmp_path / PRESENCE_FILE).write_text("not a database")
        for _ in range(3):
            lines = generate_latest(context.metrics.registry).decode()
        assert len(caplog.messages) == 1
    assert "netwatch_batches_total" in lines
    assert "netwatch_fleet" not in lines
    assert "netwatch_review_waiting" in lines, "what the file has no part in is still measured"

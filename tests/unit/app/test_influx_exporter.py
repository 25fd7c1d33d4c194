"""How the fleet is, from who was there; nobody is named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch.app.influx_exporter import fleet_health
from netwatch.config import Config
from netwatch.model.measurement import Vantage
from netwatch.signals.presence.log import PRESENCE_FILE, PresenceLog, PresenceState, Session
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
    found = fleet_health(Config(data=str(tmp_path)), START + 2 * HOUR)
    assert [(one.tags, one.fields) for one in found] == [
        ({"asn": asn, "version": "unknown"}, {"online": online, "enrolled": n, "networks": 1})
        for asn, online, n in (("64500", 2, 3), ("64501", 1, 1))
    ]
    lines = "\n".join(map(render_health, found))
    assert "agent-" not in lines
    assert "silent_seconds" not in lines
    [_, merged] = merge_small_networks(found)
    assert merged.tags["asn"] == "withheld"
    assert (merged.fields["online"], merged.fields["queue"]) == (1, None)


def test_without_presence_data_there_is_no_fleet_health(tmp_path: Path) -> None:
    assert fleet_health(Config(data=str(tmp_path)), START) == []
    assert not (tmp_path / PRESENCE_FILE).exists()

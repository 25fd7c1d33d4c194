"""Newcomers that connect and vanish together move nothing, and no owner decides alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.model.measurement import Vantage
from netwatch.model.vantage_trust import PROVISIONAL_WEIGHT, VantageTrust
from netwatch.signals.presence.agent_weights import presence_weights
from netwatch.signals.presence.disconnects import DisconnectMonitor
from netwatch.signals.presence.log import PresenceLog, PresenceState, Session
from netwatch.signals.presence.online_counts import count_agents

START = datetime(2026, 1, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HONEST = [Vantage(f"h{number}", "XX", 64500 + number % 4) for number in range(12)]
NEW = [Vantage(f"n{number}", "XX", 64500 + number % 8) for number in range(100)]
TRUST = {one.id: VantageTrust(1.0, f"@{one.id}") for one in HONEST} | {
    one.id: VantageTrust(0.0, f"@{one.id}") for one in NEW[:50]
}  # the others have not even measured yet


def counts(log: PresenceLog) -> dict[str, tuple[float, float | None]]:
    found = count_agents(log, START + 9 * MINUTE, START + 10 * MINUTE)
    return {str(one.series.entity): (one.value, one.total) for one in found}


def connect(log: PresenceLog, vantages: list[Vantage]) -> None:
    for one in vantages:
        log.opened(Session(one, "broker", "boot", 1, 1, START))


def test_any_number_of_newcomers_changes_no_count(tmp_path: Path) -> None:
    with PresenceLog(tmp_path / "presence.sqlite") as log:
        log.mark_listening(START, START + 20 * MINUTE)
        connect(log, HONEST)
        log.set_trust(TRUST)
        before = counts(log)
        assert before["country:XX"] == (12, 12)
        connect(log, NEW)
        assert counts(log) == before
        for one in NEW:
            session = Session(one, "broker", "boot", 1, 1, START)
            log.closed(session, PresenceState.LOST, at=START + 5 * MINUTE)
        assert counts(log) == before
        log.erase("h0")
        assert "h0" not in log.trust()


def test_newcomers_are_no_evidence_and_hide_none() -> None:
    monitor = DisconnectMonitor()
    for one in (*HONEST, *NEW):
        monitor.on_up(one, broker="a" if one in HONEST else "b", at=START)
    for one in NEW:
        monitor.on_lost(one.id, at=START + 10 * MINUTE)
    found = monitor.evaluate(START + 10 * MINUTE, TRUST)
    assert (found.log_likelihoods, found.masked) == ({}, False)
    quiet = DisconnectMonitor()
    for one in HONEST:
        quiet.on_up(one, broker="a", at=START)
    for each in (monitor, quiet):
        for one in HONEST[:8]:
            each.on_lost(one.id, at=START + 10 * MINUTE)
    lost = monitor.evaluate(START + 10 * MINUTE, TRUST)
    assert lost == quiet.evaluate(START + 10 * MINUTE, TRUST)
    assert max(lost.log_likelihoods.values()) > 10


def test_one_owner_has_a_fifth_at_most_and_one_network_is_capped() -> None:
    owned = [Vantage(f"o{number}", "XX", 64600 + number % 9) for number in range(50)]
    trust = TRUST | {one.id: VantageTrust(1.0, "acme") for one in owned}
    weights = presence_weights([*HONEST, *owned], trust)
    assert weights[12:].sum() <= 0.2 * weights.sum() + 1e-9
    crowded = [Vantage(f"c{number}", "XX", 64700) for number in range(50)]
    trust = TRUST | {one.id: VantageTrust(1.0, f"@{one.id}") for one in crowded}
    weights = presence_weights([*HONEST, *crowded], trust)
    assert weights[12:].sum() <= 0.34 * weights.sum()


def test_a_new_observatory_counts_all_alike() -> None:
    trust = {one.id: VantageTrust(PROVISIONAL_WEIGHT, f"@{one.id}") for one in HONEST}
    assert presence_weights(HONEST, trust).tolist() == pytest.approx([1.0] * 12)
    assert presence_weights(HONEST, {}).tolist() == [1.0] * 12

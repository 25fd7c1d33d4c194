"""The presence log: sessions, listening spans, the series of agents, and replays."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netwatch.model.entities import Entity
from netwatch.model.measurement import Vantage
from netwatch.model.series import SeriesKey
from netwatch.model.signals import AGENTS
from netwatch.signals.presence.disconnects import DisconnectMonitor
from netwatch.signals.presence.log import (
    PresenceLog,
    PresenceState,
    Session,
)
from netwatch.signals.presence.online_counts import count_agents

START = datetime(2026, 1, 8, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
IRAN, NETWORK = Entity.parse("country:IR"), Entity.parse("asn:44244")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[PresenceLog]:
    with PresenceLog(tmp_path / "presence.sqlite") as opened:
        yield opened


def session(number: int, minute: float = 0.0, **more: object) -> Session:
    vantage = Vantage(f"a{number}", "IR", 44244 if number % 2 else 0)
    return Session(vantage, "b1", "boot", 1, number, START + minute * MINUTE, **more)


def counts(log: PresenceLog, minute: float) -> dict[Entity, tuple[float, float | None]]:
    bins = count_agents(log, START + (minute - 1) * MINUTE, START + minute * MINUTE)
    return {one.series.entity: (one.value, one.total) for one in bins}


def test_present_and_expected_are_counted_by_country_and_network(log: PresenceLog) -> None:
    log.mark_listening(START - MINUTE, START + 20 * MINUTE)
    for number in range(5):
        log.opened(session(number))
    log.closed(session(1), PresenceState.LOST, at=START + 5 * MINUTE)
    log.closed(session(2), PresenceState.STOP, at=START + 5 * MINUTE, reason="shutdown")
    assert counts(log, 4) == {IRAN: (5, 5), NETWORK: (2, 2)}
    assert counts(log, 6) == {IRAN: (3, 4), NETWORK: (1, 2)}
    log.opened(session(1, 8), reason="network")
    assert counts(log, 9) == {IRAN: (4, 4), NETWORK: (2, 2)}
    assert counts(log, 6)[IRAN] == (3, 4)


def test_without_listening_there_is_no_bin(log: PresenceLog) -> None:
    log.opened(session(1))
    log.mark_listening(START, START + 3 * MINUTE)
    log.mark_listening(START, START + 4 * MINUTE)
    log.mark_listening(START + 6 * MINUTE, START + 9 * MINUTE)
    assert counts(log, 3)
    assert counts(log, 4)
    assert not counts(log, 5)
    assert counts(log, 7)
    assert not log.was_listening(START + 3 * MINUTE, START + 7 * MINUTE)


def test_an_agent_lost_for_more_than_a_month_is_not_expected(log: PresenceLog) -> None:
    log.opened(session(1))
    log.closed(session(1), PresenceState.LOST, at=START + MINUTE)
    assert len(log.sessions(START + timedelta(days=29))) == 1
    assert log.sessions(START + timedelta(days=31)) == []
    log.prune(START + timedelta(days=90))
    assert log.events(START, START + timedelta(days=90)) == []


def test_a_monitor_counts_losses_but_not_masked_ones(log: PresenceLog) -> None:
    for number in range(12):
        log.opened(session(number, -60))
    for number in range(6):
        log.closed(session(number, -60), PresenceState.LOST, at=START + timedelta(seconds=number))
    monitor = DisconnectMonitor()
    monitor.replay(log.events(START - 61 * MINUTE, START + MINUTE))
    assert monitor.evaluate(START).log_likelihoods[SeriesKey(AGENTS, IRAN)] > 30
    log.mask(START)
    log.mark_listening(START - 61 * MINUTE, START + MINUTE)
    assert counts(log, 0.9)[IRAN] == (12, 12)
    masked = DisconnectMonitor()
    masked.replay(log.events(START - 61 * MINUTE, START + MINUTE))
    assert masked.evaluate(START).log_likelihoods == {}


def test_another_process_reads_the_log(log: PresenceLog, tmp_path: Path) -> None:
    log.opened(session(1), reason="network")
    with PresenceLog(tmp_path / "presence.sqlite") as reader:
        (event,) = reader.events(START, START + MINUTE)
    assert (event.state, event.vantage.id, event.reason) == (PresenceState.UP, "a1", "network")

"""Mass disconnects: evidence of lost agents, and losses that point at our own side."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.stats import binom

from netwatch.model.measurement import Vantage
from netwatch.signals.presence.disconnects import (
    WINDOW,
    DisconnectMonitor,
    Losses,
    disconnect_evidence,
    evaluate_losses,
    own_fault,
)

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)


def fleet(countries: int, each: int, *, brokers: int = 1) -> dict[str, np.ndarray]:
    """Return agents by country, spread over brokers, all online."""
    country = np.repeat(np.arange(countries), each)
    return {
        "lost": np.zeros(countries * each, bool),
        "rates": np.ones(countries * each),
        "countries": country,
        "brokers": np.arange(countries * each) % brokers,
    }


def evaluate(agents: dict[str, np.ndarray]) -> np.ndarray:
    """Return the evidence by country."""
    return evaluate_losses(Losses(**agents), agents["countries"])


def evidence_of(lost: int, online: int) -> float:
    """Return the evidence of so many lost agents in one country, at one loss a day."""
    agents = fleet(1, online)
    agents["lost"][:lost] = True
    return float(evaluate(agents)[0])


def test_more_losses_are_more_evidence_and_none_is_evidence_against() -> None:
    agents = fleet(5, 20)
    agents["lost"][:5] = True
    agents["lost"][20:24] = True
    evidence = evaluate(agents)
    assert evidence[0] > evidence[1] > 0 > evidence[2]
    assert not own_fault(Losses(**agents))


@pytest.mark.parametrize(("lost", "online"), [(0, 20), (5, 20), (20, 20), (3, 200), (1, 1)])
def test_evidence_is_a_ratio_of_binomials(lost: int, online: int) -> None:
    event = np.log(np.mean([binom.pmf(lost, online, share) for share in (0.3, 0.6, 0.9)]))
    expected = event - binom.logpmf(lost, online, 0.001)
    evidence = disconnect_evidence(
        np.array([float(lost)]), np.array([float(online)]), np.array([0.001])
    )
    assert evidence[0] == pytest.approx(expected)


@pytest.mark.parametrize(("online", "lost"), [(3, 3), (5, 4), (8, 4), (10, 4), (20, 5), (50, 6)])
def test_losses_that_chance_explains_once_a_month_are_strong_evidence(
    online: int, lost: int
) -> None:
    """Over 5,000 entities and 720 windows a day, at one loss a day of each agent."""
    share = -np.expm1(-WINDOW / timedelta(days=1))
    assert binom.sf(lost - 1, online, share) * 5000 * 720 * 30 < 1.01
    assert binom.sf(lost - 2, online, share) * 5000 * 720 * 30 > 1.01
    assert evidence_of(lost, online) > 10


def test_a_small_share_of_a_large_fleet_is_evidence_against_an_event() -> None:
    assert evidence_of(8, 200) < 0


def test_losing_a_whole_country_is_not_a_fault_of_the_only_broker() -> None:
    agents = fleet(5, 20)
    agents["lost"][:20] = True
    assert evaluate(agents)[0] > 100
    assert not own_fault(Losses(**agents))


@pytest.mark.parametrize("countries", [1, 2, 5])
def test_losing_every_agent_at_one_broker_is_our_fault(countries: int) -> None:
    agents = fleet(countries, 20)
    agents["lost"][:] = True
    assert own_fault(Losses(**agents))


def test_losing_every_agent_of_one_of_two_brokers_is_our_fault() -> None:
    agents = fleet(5, 20, brokers=2)
    agents["lost"] = agents["brokers"] == 1
    assert own_fault(Losses(**agents))


def test_a_country_lost_at_two_brokers_is_lost() -> None:
    agents = fleet(5, 20, brokers=2)
    agents["lost"][:18] = True
    assert not own_fault(Losses(**agents))
    evidence = evaluate(agents)
    assert evidence[0] > 50
    assert evidence[1:].max() < 0


def test_losses_elsewhere_raise_the_ordinary_rate() -> None:
    """Losses everywhere, too few in each place for a fault, weaken the evidence of one."""
    agents = fleet(5, 20)
    agents["lost"][:5] = True
    alone = evaluate(agents)[0]
    agents["lost"][[20, 21, 40, 41, 60, 80]] = True
    assert evaluate(agents)[0] < alone


def stream(lost: int, *, broker: str = "b1") -> DisconnectMonitor:
    """Return twenty agents in each of three countries, so many of the first lost."""
    monitor = DisconnectMonitor()
    for number, country in enumerate(["IR", "DE", "FR"]):
        for one in range(20):
            vantage = Vantage(f"{country}{one}", country, 64500 + number)
            monitor.on_up(vantage, broker=broker, at=START - timedelta(days=1))
    for one in range(lost):
        monitor.on_lost(f"IR{one}", at=START + timedelta(seconds=one))
    return monitor


def evidence_in(monitor: DisconnectMonitor, at: datetime = START) -> dict[str, float]:
    """Return the evidence of one window by entity."""
    result = monitor.evaluate(at)
    return {str(key.entity): value for key, value in result.log_likelihoods.items()}


def test_a_disconnect_is_found_for_country_and_network() -> None:
    expected = pytest.approx(evidence_of(8, 20))
    assert evidence_in(stream(8)) == {"country:IR": expected, "asn:64500": expected}
    assert not stream(8).evaluate(START).operator_alert


def test_agents_that_reconnect_say_goodbye_or_are_unknown_are_not_lost() -> None:
    monitor = stream(8)
    for one in range(3):
        back = Vantage(f"IR{one}", "IR", 64500)
        monitor.on_up(back, broker="b1", at=START + timedelta(seconds=30))
        monitor.on_stopped(f"IR{one + 3}")
    monitor.on_lost("nobody", at=START)
    expected = pytest.approx(evidence_of(2, 17))
    assert evidence_in(monitor) == {"country:IR": expected, "asn:64500": expected}


def test_a_window_counts_its_own_losses_only() -> None:
    monitor = stream(8)
    assert evidence_in(monitor, START - WINDOW) == {}
    assert evidence_in(monitor, START + WINDOW) == {}
    assert evidence_in(DisconnectMonitor()) == {}


def test_losing_every_agent_is_an_alert_and_not_a_disconnect() -> None:
    monitor = stream(20)
    for country in ("DE", "FR"):
        for one in range(20):
            monitor.on_lost(f"{country}{one}", at=START + timedelta(seconds=5))
    result = monitor.evaluate(START)
    assert result.log_likelihoods == {}
    assert result.masked
    assert "60" in result.operator_alert


def test_an_agent_that_is_lost_often_is_weaker_evidence() -> None:
    """Fifty losses in a day and a half outweigh the prior."""
    monitor = stream(0)
    time = START
    for _ in range(50):
        for one in range(20):
            monitor.on_lost(f"IR{one}", at=time)
            back = Vantage(f"IR{one}", "IR", 64500)
            monitor.on_up(back, broker="b1", at=time + timedelta(minutes=20))
        time += timedelta(minutes=40)
    for one in range(5):
        monitor.on_lost(f"IR{one}", at=time)
    assert evidence_in(monitor, time)["country:IR"] < evidence_in(stream(5))["country:IR"] - 10

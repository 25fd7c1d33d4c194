"""Mass disconnects: how many losses are conclusive, and which point at our own side."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from netwatch.model.measurement import Vantage
from netwatch.signals.presence.disconnects import (
    CONCLUSIVE_PROBABILITY,
    WINDOW,
    DisconnectMonitor,
    Hazard,
    Losses,
    chance_of_losses,
    disconnect_evidence,
    evaluate_losses,
)

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
ONLINE = (3, 5, 8, 10, 20, 50, 200)


def least_losses(online: int, rate: float) -> int | None:
    """Return how many losses in a window are conclusive, None if even all are not."""
    lost = np.arange(1, online + 1)
    ordinary = np.full(online, -np.expm1(-rate * (WINDOW / timedelta(days=1))))
    chance = chance_of_losses(lost, np.full(online, online), ordinary)
    conclusive = np.flatnonzero(chance < CONCLUSIVE_PROBABILITY)
    return int(lost[conclusive[0]]) if len(conclusive) else None


@pytest.mark.parametrize(
    ("rate", "least"),
    [(1, [3, 4, 4, 4, 5, 6, 8]), (6, [None, 5, 5, 6, 7, 8, 14])],
)
def test_losses_that_are_conclusive(rate: float, least: list[int | None]) -> None:
    assert [least_losses(online, rate) for online in ONLINE] == least


def fleet(countries: int, each: int, *, brokers: int = 1) -> dict[str, np.ndarray]:
    """Return agents by country, spread over brokers, all online."""
    country = np.repeat(np.arange(countries), each)
    return {
        "lost": np.zeros(countries * each, bool),
        "rates": np.ones(countries * each),
        "entities": country,
        "countries": country,
        "brokers": np.arange(countries * each) % brokers,
    }


def test_five_of_twenty_are_conclusive_and_four_are_not() -> None:
    agents = fleet(5, 20)
    agents["lost"][:5] = True
    agents["lost"][20:24] = True
    found = evaluate_losses(Losses(**agents))
    assert found.conclusive.tolist() == [True, False, False, False, False]
    assert found.evidence[0] > found.evidence[1] > 0 > found.evidence[2]
    assert not found.operator_alert
    assert found.lost.tolist() == [5, 4, 0, 0, 0]


def test_losing_a_whole_country_is_not_a_fault_of_the_only_broker() -> None:
    agents = fleet(5, 20)
    agents["lost"][:20] = True
    found = evaluate_losses(Losses(**agents))
    assert found.conclusive[0]
    assert not found.operator_alert


@pytest.mark.parametrize("countries", [1, 2, 5])
def test_losing_every_agent_at_one_broker_is_an_own_fault(countries: int) -> None:
    """No evidence, and one alert for the operator."""
    agents = fleet(countries, 20)
    agents["lost"][:] = True
    found = evaluate_losses(Losses(**agents))
    assert not found.conclusive.any()
    assert not found.evidence.any()
    assert found.operator_alert


def test_losing_every_agent_of_one_of_two_brokers_is_an_own_fault() -> None:
    agents = fleet(5, 20, brokers=2)
    agents["lost"] = agents["brokers"] == 1
    found = evaluate_losses(Losses(**agents))
    assert not found.conclusive.any()
    assert found.operator_alert


def test_a_country_lost_at_two_brokers_is_lost() -> None:
    agents = fleet(5, 20, brokers=2)
    agents["lost"][:18] = True
    assert evaluate_losses(Losses(**agents)).conclusive.tolist() == [True, *[False] * 4]


def test_losses_elsewhere_raise_the_ordinary_rate() -> None:
    """Losses everywhere, too few in each place for a fault, weaken the evidence of one."""
    agents = fleet(5, 20)
    agents["lost"][:5] = True
    alone = evaluate_losses(Losses(**agents)).evidence[0]
    agents["lost"][[20, 21, 40, 41, 60, 80]] = True
    assert evaluate_losses(Losses(**agents)).evidence[0] < alone


def test_the_false_alarms_of_a_month_are_below_one() -> None:
    """By the exact law, at the least losses of the table, over 5,000 entities."""
    for rate in (1, 6):
        for online in ONLINE[1:]:
            least = least_losses(online, rate)
            assert least is not None
            agents = fleet(1, online)
            agents["rates"] = np.full(online, float(rate))
            agents["lost"][:least] = True
            chance = evaluate_losses(Losses(**agents)).chance[0]
            if least < online * 0.95:
                assert chance * 5000 * 720 * 30 < 1.01
                assert chance < CONCLUSIVE_PROBABILITY


def test_no_loss_is_evidence_against_an_event() -> None:
    lost, online = np.array([0, 20]), np.array([20, 20])
    found = disconnect_evidence(lost, online, np.full(2, 0.001))
    assert found[0] == pytest.approx(20 * np.log(0.7 / 0.999) - np.log(3), abs=0.01)
    assert found[1] > 100


def test_hazard_is_learned() -> None:
    assert Hazard().rate == 1
    assert Hazard().after_loss(timedelta(days=5)).rate == pytest.approx(3 / 7)


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


def test_a_disconnect_is_found_for_country_and_network() -> None:
    found = stream(8).evaluate(START)
    assert [
        (str(one.entity), one.lost, one.online, one.conclusive) for one in found.disconnects
    ] == [
        ("country:IR", 8, 20, True),
        ("asn:64500", 8, 20, True),
    ]
    assert not found.operator_alert


def test_agents_that_reconnect_say_goodbye_or_are_unknown_are_not_lost() -> None:
    monitor = stream(8)
    for one in range(3):
        back = Vantage(f"IR{one}", "IR", 64500)
        monitor.on_up(back, broker="b1", at=START + timedelta(seconds=30))
        monitor.on_stopped(f"IR{one + 3}")
    monitor.on_lost("nobody", at=START)
    found = monitor.evaluate(START)
    assert [(one.lost, one.online) for one in found.disconnects] == [(2, 17), (2, 17)]
    assert not any(one.conclusive for one in found.disconnects)


def test_a_window_counts_its_own_losses_only() -> None:
    monitor = stream(8)
    assert monitor.evaluate(START - WINDOW).disconnects == []
    assert monitor.evaluate(START + WINDOW).disconnects == []
    assert DisconnectMonitor().evaluate(START).disconnects == []


def test_losing_every_agent_is_an_alert_and_not_a_disconnect() -> None:
    monitor = stream(20)
    for country in ("DE", "FR"):
        for one in range(20):
            monitor.on_lost(f"{country}{one}", at=START + timedelta(seconds=5))
    found = monitor.evaluate(START)
    assert found.disconnects == []
    assert "60" in found.operator_alert


def test_an_agent_that_is_lost_often_is_weaker_evidence() -> None:
    """Fifty losses in a day and a half teach more than a prior does."""
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
    steady = stream(5).evaluate(START).disconnects[0]
    restless = monitor.evaluate(time).disconnects[0]
    assert restless.lost == steady.lost == 5
    assert steady.conclusive
    assert not restless.conclusive
    assert restless.evidence < steady.evidence

"""Agents that vanish together: the table of least losses, and whose fault it is."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from netwatch.model.measurement import Vantage
from netwatch.signals.presence.bursts import DisconnectMonitor
from netwatch.signals.presence.disconnects import (
    MOST_LIKELY_CHANCE,
    WINDOW,
    Hazard,
    Losses,
    burst_evidence,
    evaluate_losses,
    least_losses,
)

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
ONLINE = (3, 5, 8, 10, 20, 50, 200)


@pytest.mark.parametrize(
    ("rate", "least"),
    [(1, [3, 4, 4, 4, 5, 6, 8]), (6, [None, 5, 5, 6, 7, 8, 14])],
)
def test_least_losses_that_are_conclusive(rate: float, least: list[int | None]) -> None:
    assert [least_losses(online, rate) for online in ONLINE] == least


def fleet(countries: int, each: int, *, brokers: int = 1) -> dict[str, np.ndarray]:
    """Return agents by country, spread over brokers, all of them there."""
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


def test_a_country_that_goes_whole_is_no_fault_of_the_only_broker() -> None:
    agents = fleet(5, 20)
    agents["lost"][:20] = True
    found = evaluate_losses(Losses(**agents))
    assert found.conclusive[0]
    assert not found.operator_alert


@pytest.mark.parametrize("countries", [1, 2, 5])
def test_all_vanish_with_the_broker(countries: int) -> None:
    """No evidence, and one notice for the operator."""
    agents = fleet(countries, 20)
    agents["lost"][:] = True
    found = evaluate_losses(Losses(**agents))
    assert not found.conclusive.any()
    assert not found.evidence.any()
    assert found.operator_alert


def test_one_of_two_brokers_takes_its_agents_along() -> None:
    agents = fleet(5, 20, brokers=2)
    agents["lost"] = agents["brokers"] == 1
    found = evaluate_losses(Losses(**agents))
    assert not found.conclusive.any()
    assert found.operator_alert


def test_a_country_lost_at_two_brokers_is_lost() -> None:
    agents = fleet(5, 20, brokers=2)
    agents["lost"][:18] = True
    assert evaluate_losses(Losses(**agents)).conclusive.tolist() == [True, *[False] * 4]


def test_a_world_in_unrest_raises_what_is_usual() -> None:
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
                assert chance < MOST_LIKELY_CHANCE


def test_evidence_of_nothing_lost_is_against_an_event() -> None:
    lost, online = np.array([0, 20]), np.array([20, 20])
    found = burst_evidence(lost, online, np.full(2, 0.001))
    assert found[0] == pytest.approx(20 * np.log(0.7 / 0.999) - np.log(3), abs=0.01)
    assert found[1] > 100


def test_hazard_is_learned() -> None:
    restless = Hazard.steady().seen(30, timedelta(days=5))
    assert Hazard.steady().rate == 1
    assert Hazard.portable().rate == 6
    assert restless.rate == pytest.approx(32 / 7)


def stream(lost: int, *, broker: str = "b1") -> DisconnectMonitor:
    """Return twenty agents in each of three countries, so many of the first lost."""
    bursts = DisconnectMonitor()
    for number, country in enumerate(["IR", "DE", "FR"]):
        for one in range(20):
            vantage = Vantage(f"{country}{one}", country, 64500 + number)
            bursts.up(vantage, broker=broker, at=START - timedelta(days=1))
    for one in range(lost):
        bursts.lost(f"IR{one}", last_packet=START + timedelta(seconds=one))
    return bursts


def test_a_burst_is_found_for_country_and_network() -> None:
    found = stream(8).judge(START)
    assert [(str(one.entity), one.lost, one.online, one.conclusive) for one in found.bursts] == [
        ("country:IR", 8, 20, True),
        ("asn:64500", 8, 20, True),
    ]
    assert not found.operator_alert


def test_who_comes_back_at_once_says_goodbye_or_is_a_stranger_was_not_lost() -> None:
    bursts = stream(8)
    for one in range(3):
        back = Vantage(f"IR{one}", "IR", 64500)
        bursts.up(back, broker="b1", at=START + timedelta(seconds=30))
        bursts.stopped(f"IR{one + 3}")
    bursts.lost("nobody", last_packet=START)
    found = bursts.judge(START)
    assert [(one.lost, one.online) for one in found.bursts] == [(2, 17), (2, 17)]
    assert not any(one.conclusive for one in found.bursts)


def test_a_window_counts_its_own_losses_only() -> None:
    bursts = stream(8)
    assert bursts.judge(START - WINDOW).bursts == []
    assert bursts.judge(START + WINDOW).bursts == []
    assert DisconnectMonitor().judge(START).bursts == []


def test_all_gone_is_one_notice_and_no_burst() -> None:
    bursts = stream(20)
    for country in ("DE", "FR"):
        for one in range(20):
            bursts.lost(f"{country}{one}", last_packet=START + timedelta(seconds=5))
    found = bursts.judge(START)
    assert found.bursts == []
    assert "60" in found.operator_alert


def test_who_is_lost_often_counts_for_less() -> None:
    """Fifty losses in a day and a half teach more than a prior does."""
    bursts = stream(0)
    time = START
    for _ in range(50):
        for one in range(20):
            bursts.lost(f"IR{one}", last_packet=time)
            back = Vantage(f"IR{one}", "IR", 64500)
            bursts.up(back, broker="b1", at=time + timedelta(minutes=20))
        time += timedelta(minutes=40)
    for one in range(5):
        bursts.lost(f"IR{one}", last_packet=time)
    steady = stream(5).judge(START).bursts[0]
    restless = bursts.judge(time).bursts[0]
    assert restless.lost == steady.lost == 5
    assert steady.conclusive
    assert not restless.conclusive
    assert restless.evidence < steady.evidence

"""Levels of an incident over time, and the networks that were lost in it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from incident_fixtures import SOUTH, level
from series import COUNTRY, HOUR, START, key

from netwatch.incidents.excursion import Excursion
from netwatch.incidents.level_history import IncidentHistory, loss_order
from netwatch.model.entities import Entity


def test_details_of_weeks_stay_small_and_keep_the_steps() -> None:
    history, width = IncidentHistory(), timedelta(minutes=5)
    for number in range(12 * 24 * 20):
        one = level(0, key(str(COUNTRY)), 0.05 if number < 12 * 24 * 10 else 0.4)
        history.observe(replace(one, time=START + number * width), {})
    assert len(history.points) <= 512
    segments = history.segments(width)
    assert [round(one.level, 2) for one in segments] == [0.05, 0.4]
    assert abs(segments[1].start - (START + timedelta(days=10))) <= timedelta(hours=3)


def test_a_network_that_is_lost_twice_is_dated_by_its_first_loss() -> None:
    history = IncidentHistory()
    excursion = Excursion(level(0, key(str(SOUTH)), 1.0))
    for hour, value in enumerate([1.0, 0.1, 1.0, 0.1]):
        excursion.observe(level(hour, key(str(SOUTH)), value))
        history.observe(level(hour, key(str(COUNTRY)), 0.3), {SOUTH: excursion})
    assert [loss.started_at for loss in history.losses({SOUTH: 1.0})] == [START + HOUR]


def test_the_order_in_which_networks_were_lost() -> None:
    first, second, third = (Entity.parse(f"asn:{number}") for number in (64500, 64501, 64502))
    losses = {
        third: (START + 2 * HOUR, 2.0),
        second: (START, 1.0),
        first: (START, 3.0),
    }
    ordered = loss_order(losses, 8.0)
    assert [loss.entity for loss in ordered] == [first, second, third]
    assert [loss.cumulative_share for loss in ordered] == [0.375, 0.5, 0.75]
    assert ordered[2].share == 0.25
    with pytest.raises(ValueError, match="total weight"):
        loss_order(losses, 5.0)

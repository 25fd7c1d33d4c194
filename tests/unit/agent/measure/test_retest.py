import asyncio
from collections import Counter
from datetime import UTC, datetime
from random import Random

import pytest

from netwatch.agent.measure.retest import FailureRetester
from netwatch.model.measurement import Measurement, Observation, Target

NOW = datetime(2026, 1, 8, tzinfo=UTC)
SITE = Target("site", "tcp", "198.51.100.1")
ABROAD = Target("abroad", "tcp", "192.0.2.3", group="witness-international")
HOME = Target("home", "tcp", "192.0.2.2", group="witness-domestic")
GATEWAY = Target("gateway", "tcp", "192.0.2.1", group="witness-lan")


def result(target: Target, *, host_responded: bool) -> Measurement:
    failure = None if host_responded else "generic_timeout_error"
    step = Observation("connect", failure, 0.1)
    scope = "" if host_responded else "timeout"
    return Measurement(target.id, "tcp", NOW, failure, scope, host_responded, 0.1, (step,))


class World:
    """Says who is host_responded, and counts who was asked."""

    def __init__(self, *host_responded: str) -> None:
        self.host_responded, self.asked = set(host_responded), Counter[str]()

    async def measure(self, target: Target) -> Measurement:
        self.asked[target.id] += 1
        await asyncio.sleep(0)
        return result(target, host_responded=target.id in self.host_responded)

    def confirmer(self, *targets: Target) -> FailureRetester:
        return FailureRetester(targets, self.measure, random=Random(7), pause=(0.0, 0.0))


def detail(measurement: Measurement) -> str:
    return measurement.observations[-1].detail


@pytest.mark.parametrize(
    ("host_responded", "word", "scope"),
    [
        (["abroad"], "confirmed", "timeout"),
        (["abroad", "site"], "passed", "timeout"),
        (["gateway"], "controls_failed", "timeout"),
        ([], "controls_failed", "local"),
    ],
)
async def test_a_first_failure_is_confirmed(
    host_responded: list[str], word: str, scope: str
) -> None:
    world = World(*host_responded)
    confirmer = world.confirmer(SITE, HOME, ABROAD, GATEWAY)
    found = await confirmer.confirm(result(SITE, host_responded=False), SITE)
    assert (detail(found), found.scope) == (word, scope)
    assert world.asked["site"] == 1
    assert world.asked["home"] == 0, "the farthest rung there is serves as control"


async def test_only_the_first_failure_is_confirmed() -> None:
    world = World("abroad")
    confirmer = world.confirmer(SITE, ABROAD)
    failed = result(SITE, host_responded=False)
    assert detail(await confirmer.confirm(failed, SITE)) == "confirmed"
    assert detail(await confirmer.confirm(failed, SITE)) == ""
    confirmer.succeeded(SITE)
    assert detail(await confirmer.confirm(failed, SITE)) == "confirmed"


async def test_without_a_control_nothing_is_asked() -> None:
    world = World()
    failed = result(SITE, host_responded=False)
    assert await world.confirmer(SITE, GATEWAY).confirm(failed, SITE) == failed
    assert not world.asked


async def test_a_witness_is_not_confirmed_itself() -> None:
    world = World()
    failed = result(ABROAD, host_responded=False)
    assert await world.confirmer(ABROAD).confirm(failed, ABROAD) == failed


async def test_a_hundred_targets_that_fail_together_ask_a_control_once() -> None:
    world = World("abroad")
    sites = [Target(f"site-{number}", "tcp", "198.51.100.1") for number in range(100)]
    confirmer = world.confirmer(*sites, ABROAD)
    failures = [confirmer.confirm(result(site, host_responded=False), site) for site in sites]
    found = await asyncio.gather(*failures)
    assert {detail(one) for one in found} == {"confirmed"}
    assert world.asked["abroad"] <= 3

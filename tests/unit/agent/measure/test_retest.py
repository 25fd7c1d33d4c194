import asyncio
from collections import Counter
from datetime import UTC, datetime
from random import Random

import pytest

from netwatch.agent.measure.admission import AdmissionControl
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.agent.measure.retest import FailureRetester
from netwatch.config import AgentConfig
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.protocols import Probe

NOW = datetime(2026, 1, 8, tzinfo=UTC)
SITE = Target("site", "tcp", "198.51.100.1")
ABROAD = Target("abroad", "tcp", "192.0.2.3", group="witness-international")
DOMESTIC = Target("domestic", "tcp", "203.0.113.2", group="witness-domestic")
GATEWAY = Target("gateway", "tcp", "10.0.0.1", group="witness-lan")


def failed(target: Target) -> Measurement:
    step = Observation("connect", "generic_timeout_error", 0.1)
    return Measurement(
        target=target.id,
        probe="tcp",
        time=NOW,
        failure=step.failure,
        scope="timeout",
        host_responded=False,
        seconds=0.1,
        observations=(step,),
    )


class FakeProbe(Probe):
    """Responds for the named targets, and counts how often each is probed."""

    name = "tcp"

    def __init__(self, *responding: str) -> None:
        self.responding, self.runs = set(responding), Counter[str]()

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        self.runs[target.id] += 1
        await asyncio.sleep(0)
        failure = None if target.id in self.responding else "generic_timeout_error"
        return (Observation("connect", failure, 0.1),)


def retester(probe: Probe, *targets: Target, paused: bool = False) -> FailureRetester:
    probes, budget = {"tcp": probe}, DailyBudget()
    admission = AdmissionControl(
        AgentConfig(), probes=probes, budget=budget, clock=lambda: NOW, paused=lambda: paused
    )
    runner = ProbeRunner(probes, lambda: NOW, 1.0, budget=budget)
    return FailureRetester(
        targets, admission=admission, runner=runner, random=Random(7), pause=(0.0, 0.0)
    )


def detail(measurement: Measurement) -> str:
    return measurement.observations[-1].detail


@pytest.mark.parametrize(
    ("responding", "outcome", "scope"),
    [
        (["abroad"], "confirmed", "timeout"),
        (["abroad", "site"], "passed", "timeout"),
        (["gateway"], "controls_failed", "timeout"),
        ([], "controls_failed", "local"),
    ],
)
async def test_a_first_failure_is_retested(responding: list[str], outcome: str, scope: str) -> None:
    probe = FakeProbe(*responding)
    retested = await retester(probe, SITE, DOMESTIC, ABROAD, GATEWAY).retest(failed(SITE), SITE)
    assert (detail(retested), retested.scope) == (outcome, scope)
    assert probe.runs["site"] == 1
    assert probe.runs["domestic"] == 0, "the farthest tier serves as control"


async def test_only_the_first_failure_is_retested() -> None:
    retest = retester(FakeProbe("abroad"), SITE, ABROAD).retest
    assert detail(await retest(failed(SITE), SITE)) == "confirmed"
    assert detail(await retest(failed(SITE), SITE)) == ""
    success = Measurement("site", "tcp", NOW, None, "", host_responded=True, seconds=0.1)
    assert await retest(success, SITE) == success
    assert detail(await retest(failed(SITE), SITE)) == "confirmed"


async def test_a_retest_that_is_not_admitted_is_recorded_as_such() -> None:
    probe = FakeProbe("abroad")
    retested = await retester(probe, SITE, ABROAD, paused=True).retest(failed(SITE), SITE)
    assert (detail(retested), retested.scope) == ("not_retested", "timeout")
    assert not probe.runs


async def test_without_a_control_nothing_is_retested() -> None:
    probe = FakeProbe()
    assert await retester(probe, SITE, GATEWAY).retest(failed(SITE), SITE) == failed(SITE)
    assert not probe.runs


async def test_a_witness_is_not_retested() -> None:
    probe = FakeProbe()
    assert await retester(probe, ABROAD).retest(failed(ABROAD), ABROAD) == failed(ABROAD)
    assert not probe.runs


async def test_a_hundred_targets_that_fail_together_probe_a_control_once() -> None:
    """On loopback, where no rate limit applies."""
    probe = FakeProbe("abroad")
    sites = [Target(f"site-{number}", "tcp", "127.0.0.1") for number in range(100)]
    control = Target("abroad", "tcp", "127.0.0.2", group="witness-international")
    retest = retester(probe, *sites, control).retest
    retested = await asyncio.gather(*(retest(failed(site), site) for site in sites))
    assert {detail(one) for one in retested} == {"confirmed"}
    assert probe.runs["abroad"] <= 3

"""Admission at every saving level, behind a captive portal and in quiet hours."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from netwatch.agent.measure.admission import AdmissionControl, QuietHours
from netwatch.agent.measure.budget import BUDGETS, DailyBudget
from netwatch.config import AgentConfig
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Target
from netwatch.plugins import load_plugin

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
SITE = Target("site", "tcp", "198.51.100.1")
ABROAD = Target("abroad", "tcp", "192.0.2.3", group="witness-international")
PORTAL_CHECK = Target("portal", "http", "192.0.2.4", group="witness-captive")
PROBES = ("dns", "tcp", "icmp", "tls", "http", "transfer")


class Vantage:
    """A vantage whose wall clock and pause are set by hand."""

    def __init__(self, **settings: str) -> None:
        self.now, self.paused, self.captive = NOON, False, False
        config = AgentConfig(**settings)
        self.budget = DailyBudget(BUDGETS[config.budget])
        self.admission = AdmissionControl(
            config,
            probes={name: load_plugin("probes", name)() for name in PROBES},
            budget=self.budget,
            clock=lambda: self.now,
            paused=lambda: self.paused,
        )

    async def admits(self, target: Target, *, unscheduled: bool = False) -> bool:
        """Return whether a probe is admitted; the rate limits are reset first."""
        self.admission._rate_limiter = type(self.admission._rate_limiter)()
        if unscheduled:
            return await self.admission.wait_unscheduled(target)
        return await self.admission.wait(target, period=300.0, captive=self.captive)


async def test_each_saving_level_and_its_end_is_an_event() -> None:
    vantage = Vantage(budget="low")
    admission, events = vantage.admission, []
    assert await vantage.admits(SITE)
    for share in (0.81, 0.91, 1.0):
        vantage.budget.spent = int(share * vantage.budget.limit)
        events += [admission.level_event() for _ in range(3)]
    assert not await vantage.admits(SITE)
    assert await vantage.admits(ABROAD), "witnesses are probed on"
    vantage.now += timedelta(days=1)
    assert await vantage.admits(SITE)
    events.append(admission.level_event())
    raised = [event for event in events if event is not None]
    assert {event.target for event in raised} == {"@budget"}
    assert [event.failure for event in raised] == ["budget_80", "budget_90", "budget_100", None]
    assert [event.scope for event in raised] == ["local"] * 3 + [""]
    assert admission.skips["budget"] == 1


@pytest.mark.parametrize(
    ("share", "admitted"),
    [
        (0.0, {"dns", "tcp", "icmp", "tls", "http", "transfer"}),
        (0.81, {"dns", "tcp", "icmp", "tls"}),
        (0.91, {"dns", "tcp"}),
        (1.0, set()),
    ],
)
async def test_admitted_probes_by_saving_level(share: float, admitted: set[str]) -> None:
    for probe in PROBES:
        vantage = Vantage(budget="full")
        await vantage.admits(SITE)
        vantage.budget.spent = int(share * vantage.budget.limit)
        assert await vantage.admits(Target("one", probe, "198.51.100.7")) == (probe in admitted)


async def test_a_retest_is_charged_like_any_probe() -> None:
    vantage = Vantage(budget="low")
    assert await vantage.admits(SITE, unscheduled=True)
    assert vantage.budget.reserved == 250
    vantage.budget.spent = vantage.budget.limit
    assert not await vantage.admits(SITE, unscheduled=True)
    assert await vantage.admits(ABROAD, unscheduled=True)
    vantage.paused = True
    assert not await vantage.admits(ABROAD, unscheduled=True)
    assert vantage.admission.skips["paused"] == 1


async def test_a_retest_that_would_come_too_late_is_skipped() -> None:
    vantage = Vantage()
    bucket = vantage.admission._rate_limiter._bucket
    bucket.available(monotonic())
    bucket.take(120.0)
    assert not await vantage.admission.wait_unscheduled(ABROAD)
    assert vantage.admission.skips["rate_limit"] == 1
    assert vantage.budget.reserved == 0, "a skipped probe costs nothing"


async def test_a_pause_during_the_wait_skips_the_probe_and_costs_nothing() -> None:
    vantage = Vantage()
    first, second = (Target(f"t{n}", "tcp", f"198.51.100.{n}") for n in (1, 2))
    assert await vantage.admission.wait(first, period=300.0)
    waiting = asyncio.ensure_future(vantage.admission.wait(second, period=300.0))
    await asyncio.sleep(0.05)
    vantage.paused = True
    assert not await waiting
    assert vantage.budget.reserved == 250


async def test_probes_over_the_budget_do_not_occupy_the_rate_limits() -> None:
    """A list of hundreds of skipped targets must not delay the witnesses."""
    vantage = Vantage(budget="low")
    assert await vantage.admits(SITE)
    vantage.budget.spent = vantage.budget.limit
    for target in [Target(f"site-{n}", "tcp", f"10.{n}.0.1") for n in range(200)]:
        assert not await vantage.admission.wait(target, period=300.0)
    assert await asyncio.wait_for(vantage.admission.wait(ABROAD, period=30.0), 1)


async def test_behind_a_portal_every_tenth_round_is_probed() -> None:
    vantage = Vantage()
    vantage.captive = True
    assert [await vantage.admits(SITE) for _ in range(20)] == ([True] + [False] * 9) * 2
    assert [await vantage.admits(ABROAD) for _ in range(10)] == [True] + [False] * 9
    assert all([await vantage.admits(PORTAL_CHECK) for _ in range(10)]), "it shows the end"
    assert vantage.admission.skips["captive"] == 27
    vantage.captive = False
    assert await vantage.admits(SITE)


async def test_quiet_hours_leave_the_witnesses() -> None:
    vantage = Vantage(quiet_hours="11:00-13:00")
    assert not await vantage.admits(SITE)
    assert await vantage.admits(ABROAD)
    vantage.now += timedelta(hours=2)
    assert await vantage.admits(SITE)


@pytest.mark.parametrize(
    ("text", "hour", "quiet"),
    [
        ("22:00-06:00", 23, True),
        ("22:00-06:00", 5, True),
        ("22:00-06:00", 6, False),
        ("22:00-06:00", 12, False),
        ("01:00-05:30", 3, True),
        ("01:00-05:30", 0, False),
    ],
)
def test_quiet_hours_may_span_midnight(text: str, hour: int, *, quiet: bool) -> None:
    assert (NOON.replace(hour=hour) in QuietHours.parse(text)) is quiet


@pytest.mark.parametrize("text", ["22", "25:00-06:00", "x-y", "-", "tonight"])
def test_bad_quiet_hours_are_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError, match=f"agent.quiet_hours: cannot parse '{text}'; write "):
        Vantage(quiet_hours=text)

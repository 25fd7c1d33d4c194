"""Scenarios of a whole agent: faults of its clock, machine and broker."""

from datetime import UTC, datetime, timedelta

import server_faults
from qa import scenarios_servers as servers
from qa.bench import Bench, Watch
from qa.case import Actions
from qa.full_agent import AgentSetup
from qa.host_faults import JUMP
from qa.observatory import Observatory
from qa.vantage import SUBJECT, Job

from netwatch.agent.health.judge_health import HealthState

__all__ = ["broker_stalls", "clock_set_on", "clock_slow", "machine_sleeps", "not_yet_valid"]


async def _at_home(bench: Bench, job: Job) -> Job:
    """Return the job for a whole agent that sends to an observatory."""
    observatory = Observatory(bench.folder, job.targets)
    await bench.stack.enter_async_context(observatory)
    return job.at(setup=AgentSetup(str(bench.folder), ("127.0.0.1", observatory.port)))


async def clock_slow(bench: Bench) -> Job:
    """Every acknowledgement carries the collector's time."""
    job = await bench.job("tcp", await bench.tcp())
    return (await _at_home(bench, job)).at(host_fault="two_years_slow")


async def not_yet_valid(bench: Bench) -> Job:
    """A certificate that begins later, as any does for a clock in the past."""
    job = await servers.certified(days=(2, 30))(bench)
    assert isinstance(job, Job)
    return (await _at_home(bench, job)).at(host_fault="two_years_slow")


async def clock_set_on(bench: Bench) -> tuple[Job, Actions]:
    """Measurements before and after the step are dated consistently."""

    async def actions(watch: Watch) -> None:
        start = datetime.now(UTC)
        end = start + timedelta(seconds=JUMP + 3)
        assert await watch.until(
            lambda: any(one.measurement.time > end for one in watch.of(SUBJECT))
        )
        ahead = datetime.now(UTC) + timedelta(seconds=5)
        assert not [one for one in watch.reports if one.measurement.time > ahead]

    job = await bench.job("tcp", await bench.tcp())
    return (await _at_home(bench, job)).at(host_fault="six_hours_on"), actions


async def machine_sleeps(bench: Bench) -> tuple[Job, Actions]:
    """After sleep, the health is unknown until the witnesses respond."""

    async def actions(watch: Watch) -> None:
        assert await watch.until(lambda: bool(watch.of("@gap")))
        assert 7190 < watch.of("@gap")[0].measurement.seconds < 7210
        assert await watch.until(lambda: watch.state() is HealthState.OK)

    job = await bench.job("tcp", await bench.tcp())
    return (await _at_home(bench, job)).at(host_fault="sleep"), actions


async def broker_stalls(bench: Bench) -> tuple[Job, Actions]:
    """The broker completes TLS and CONNECT, and then reads nothing."""
    published: list[bytes] = []
    context = bench.authority.serving("localhost")
    _, port = await bench.tcp(
        server_faults.stalling_broker(published), tls=context, host="127.0.0.1"
    )

    async def actions(watch: Watch) -> None:
        assert await watch.until(lambda: bool(published))
        before = len(watch.of(SUBJECT))
        assert await watch.until(lambda: len(watch.of(SUBJECT)) > before + 8)

    job = await bench.job("tcp", await bench.tcp())
    setup = AgentSetup(str(bench.folder), ("localhost", port), tls=True)
    return job.at(setup=setup, authority=bench.trusted()), actions

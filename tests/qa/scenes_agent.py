"""A whole agent, with spool and uplink: what happens to its clock, its machine, its broker."""

from datetime import UTC, datetime, timedelta

import faults
from qa import scenes_servers as servers
from qa.bench import Bench, Watch
from qa.case import Play
from qa.observatory import Observatory
from qa.tricks import JUMP
from qa.vantage import IT, Job
from qa.whole import House

from netwatch.agent.health.health import HealthState

__all__ = ["broker_stalls", "clock_set_on", "clock_slow", "machine_sleeps", "not_yet_valid"]


async def _at_home(bench: Bench, job: Job) -> Job:
    """Return the job for a whole agent that sends to an observatory."""
    observatory = Observatory(bench.folder, job.targets)
    await bench.stack.enter_async_context(observatory)
    return job.at(house=House(str(bench.folder), ("127.0.0.1", observatory.port)))


async def clock_slow(bench: Bench) -> Job:
    """The collector says in every acknowledgement what time it is."""
    job = await bench.job("tcp", await bench.tcp())
    return (await _at_home(bench, job)).at(trick="two_years_slow")


async def not_yet_valid(bench: Bench) -> Job:
    """A certificate that begins later, as any does for who lives in the past."""
    job = await servers.certified(days=(2, 30))(bench)
    assert isinstance(job, Job)
    return (await _at_home(bench, job)).at(trick="two_years_slow")


async def clock_set_on(bench: Bench) -> tuple[Job, Play]:
    """What is measured before and after is dated as if nothing had happened."""

    async def play(watch: Watch) -> None:
        start = datetime.now(UTC)
        end = start + timedelta(seconds=JUMP + 3)
        assert await watch.until(lambda: any(one.measurement.time > end for one in watch.of(IT)))
        ahead = datetime.now(UTC) + timedelta(seconds=5)
        assert not [one for one in watch.heard if one.measurement.time > ahead]

    job = await bench.job("tcp", await bench.tcp())
    return (await _at_home(bench, job)).at(trick="six_hours_on"), play


async def machine_sleeps(bench: Bench) -> tuple[Job, Play]:
    """After it, nothing is known until the witnesses have spoken again."""

    async def play(watch: Watch) -> None:
        assert await watch.until(lambda: bool(watch.of("@gap")))
        assert 7190 < watch.of("@gap")[0].measurement.seconds < 7210
        assert await watch.until(lambda: watch.state() is HealthState.OK)

    job = await bench.job("tcp", await bench.tcp())
    return (await _at_home(bench, job)).at(trick="sleep"), play


async def broker_stalls(bench: Bench) -> tuple[Job, Play]:
    """The broker's TLS and its welcome are fine; what is sent stays unread."""
    published: list[bytes] = []
    context = bench.authority.serving("localhost")
    _, port = await bench.tcp(faults.stalling_broker(published), tls=context, host="127.0.0.1")

    async def play(watch: Watch) -> None:
        assert await watch.until(lambda: bool(published))
        before = len(watch.of(IT))
        assert await watch.until(lambda: len(watch.of(IT)) > before + 8)

    job = await bench.job("tcp", await bench.tcp())
    house = House(str(bench.folder), ("localhost", port), tls=True)
    return job.at(house=house, authority=bench.trusted()), play

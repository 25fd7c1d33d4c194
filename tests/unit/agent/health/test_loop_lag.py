"""A process that was held up never blames a target."""

import asyncio
import time
from time import perf_counter

from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.lab.drill.simulated_country import make_country
from netwatch.store.moments import now_utc
from netwatch_probes.tcp import TcpProbe


async def test_a_stall_is_noticed_and_forgotten_by_what_comes_later() -> None:
    """What overlaps the stall was held up; what began after it was not."""
    watch = LoopLagMonitor()
    ticking = asyncio.ensure_future(watch.run())
    await asyncio.sleep(0.12)
    since = perf_counter()
    time.sleep(0.5)  # noqa: ASYNC251 - the stall itself
    assert watch.stalled(since, perf_counter())
    await asyncio.sleep(0.12)
    assert watch.stalled(since, perf_counter())
    later = perf_counter()
    await asyncio.sleep(0.06)
    assert not watch.stalled(later, perf_counter())
    ticking.cancel()


async def test_a_failure_during_a_stall_is_local() -> None:
    """A network that is dark times out: its own fault, unless our loop stood still."""
    async with make_country(1) as country:
        network = country.networks[0]
        network.cut()
        runner = ProbeRunner({"tcp": TcpProbe()}, now_utc, 0.4)
        ticking = asyncio.ensure_future(runner.stalls.run())
        target = next(one for one in network.targets() if one.probe == "tcp")
        honest = await runner.measure(target)
        assert (honest.failure, honest.scope) == ("generic_timeout_error", "timeout")
        held = asyncio.ensure_future(runner.measure(target))
        await asyncio.sleep(0.1)
        time.sleep(0.6)  # noqa: ASYNC251 - the stall itself
        measured = await held
        assert (measured.scope, measured.host_responded) == ("local", False)
        ticking.cancel()

"""Failures while the event loop was blocked do not count against targets."""

import asyncio
import time
from time import perf_counter

from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.lab.drill.loopback_country import make_country
from netwatch.store.validation import now_utc
from netwatch_probes.tcp import TcpProbe


async def test_an_interval_that_overlaps_a_block_is_blocked() -> None:
    monitor = LoopLagMonitor()
    ticking = asyncio.ensure_future(monitor.run())
    await asyncio.sleep(0.12)
    since = perf_counter()
    time.sleep(0.5)  # noqa: ASYNC251 - the fault under test
    assert monitor.was_blocked(since, perf_counter())
    await asyncio.sleep(0.12)
    assert monitor.was_blocked(since, perf_counter())
    later = perf_counter()
    await asyncio.sleep(0.06)
    assert not monitor.was_blocked(later, perf_counter())
    ticking.cancel()


async def test_the_lateness_of_ticks_is_a_percentile() -> None:
    monitor = LoopLagMonitor()
    assert monitor.percentile(99) == 0
    ticking = asyncio.ensure_future(monitor.run())
    await asyncio.sleep(0.12)
    time.sleep(0.5)  # noqa: ASYNC251 - the fault under test
    await asyncio.sleep(0.12)
    assert 0.4 < monitor.percentile(99) < 5
    assert monitor.percentile(0) < 0.4
    ticking.cancel()


async def test_a_failure_while_the_loop_is_blocked_is_local() -> None:
    """A dead network times out, which counts unless the event loop was blocked."""
    async with make_country(1) as country:
        network = country.networks[0]
        network.cut()
        runner = ProbeRunner({"tcp": TcpProbe()}, now_utc, 0.4)
        ticking = asyncio.ensure_future(runner.loop_lag.run())
        target = next(one for one in network.targets() if one.probe == "tcp")
        honest = await runner.measure(target)
        assert (honest.failure, honest.scope) == ("generic_timeout_error", "timeout")
        blocked = asyncio.ensure_future(runner.measure(target))
        await asyncio.sleep(0.1)
        time.sleep(0.6)  # noqa: ASYNC251 - the fault under test
        measured = await blocked
        assert (measured.scope, measured.host_responded) == ("local", False)
        ticking.cancel()

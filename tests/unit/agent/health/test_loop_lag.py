"""Failures while the event loop was blocked do not count against targets."""

import asyncio
import time
from time import perf_counter

import pytest

from netwatch.agent.health import loop_lag
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


async def test_a_stall_in_each_half_minute_shows_in_the_percentile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = next_stall = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now, next_stall
        if now > 600:
            raise asyncio.CancelledError
        now += seconds + 0.001
        if now > next_stall:
            now, next_stall = now + 2.0, now + 30.0

    monkeypatch.setattr(loop_lag, "perf_counter", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    monitor = LoopLagMonitor()
    assert monitor.percentile(99) == 0
    with pytest.raises(asyncio.CancelledError):
        await monitor.run()
    assert monitor.percentile(99) == pytest.approx(2.001)
    assert monitor.percentile(50) == pytest.approx(0.001)


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

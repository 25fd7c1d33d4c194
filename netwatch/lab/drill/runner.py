"""Runs a live shutdown on loopback: real servers, agents, broker, collector, analysis, posts."""

import asyncio
import shutil
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter

import msgspec

from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.aio.tasks import cancel_and_wait
from netwatch.app.observatory import (
    ObservatoryContext,
    open_context,
    run_analyze,
    run_broker,
    run_collect,
    run_publish,
)
from netwatch.app.vantage import run_vantage
from netwatch.app.wall_clock import now
from netwatch.config import Config, PluginSections, StoreConfig, VantageConfig, write_config
from netwatch.lab.drill.drill_checks import Assertion, GroundTruth, check_drill
from netwatch.lab.drill.loopback_country import Country, make_country
from netwatch.lab.drill.scenario import Scenario, drill_config
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.series import SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.protocols import OutboxEntry, OutboxState

Part = Callable[[ObservatoryContext], Coroutine[None, None, None]]
"""Runs the collector or the analysis of a drill until cancelled."""

_MAX_STEPS = 4
"""Repetitions of a step on a machine that blocks."""
_POLL = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a drill."""

    findings: list[Assertion]
    incidents: list[Incident]
    posts: list[OutboxEntry]

    @property
    def passed(self) -> bool:
        """Whether all assertions hold."""
        return all(finding.holds for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Drill:
    """How to run a drill.

    Attributes:
        folder: data folder; an earlier drill in it is removed.
        on_event: called with the time and text of each event.
        scenario: number of networks and agents, and timing.
        store, stores: the store's configuration.
        collect, analyze, publish: run these parts; tests run them in processes to kill.
        midway: runs once the networks are dark.
    """

    folder: Path
    on_event: Callable[[datetime, str], None]
    scenario: Scenario = field(default_factory=Scenario)
    store: StoreConfig = field(default_factory=StoreConfig)
    stores: PluginSections = field(default_factory=dict)
    collect: Part = run_collect
    analyze: Part = run_analyze
    publish: Part = run_publish
    midway: Callable[[], Awaitable[None]] | None = None


async def run_drill(drill: Drill) -> Outcome:
    """Cut a simulated country off, restore it, and check what was published.

    Every wait has a timeout, after which the drill continues and fails.
    """
    shutil.rmtree(drill.folder, ignore_errors=True)
    country = make_country(drill.scenario.networks)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(country)
        config = drill_config(
            str(drill.folder), _free_port(), country=country, targets=country.targets()
        )
        config = msgspec.structs.replace(config, store=drill.store, stores=drill.stores)
        await asyncio.to_thread(write_config, config, drill.folder / "netwatch.toml")
        context = stack.enter_context(open_context(config))
        await stack.enter_async_context(run_broker(config))
        parts = [drill.collect(context), drill.analyze(context), drill.publish(context)]
        parts += [run_vantage(one) for one in _vantages(config, drill.scenario.agents)]
        running = [asyncio.ensure_future(part) for part in parts]
        try:
            truth = await _play(drill, country, context)
            await _wait_for(lambda: _all_sent(context), drill.scenario.timeout)
        finally:
            await _stop(running)
        incidents = context.ledger.incidents()
        posts = [entry for one in incidents for entry in context.ledger.outbox.posts(one.id)]
        return Outcome(check_drill(truth, country, incidents, posts), incidents, posts)


def _vantages(config: Config, count: int) -> list[Config]:
    return [
        msgspec.structs.replace(
            config, vantage=VantageConfig(id=f"agent-{number}", country="ZZ", asn=65000 + number)
        )
        for number in range(1, count + 1)
    ]


async def _play(drill: Drill, country: Country, context: ObservatoryContext) -> GroundTruth:
    scenario, truth = drill.scenario, GroundTruth([], [])
    drill.on_event(now(), f"{scenario.agents} agents probe {scenario.networks} networks")
    await _wait_for(lambda: _is_learned(country, context), scenario.timeout)
    drill.on_event(now(), "the baseline is known")
    for network in country.networks[: scenario.cut]:
        truth.cut.append((now(), network))
        drill.on_event(now(), f"AS{network.asn} in {network.region} is cut")
        network.cut()
        await _wait_step(scenario.step, drill)
    drill.on_event(now(), f"{scenario.cut} of {scenario.networks} networks are dark")
    if drill.midway is not None:
        await drill.midway()
    await asyncio.sleep(scenario.dark.total_seconds())
    for network in reversed(country.networks[: scenario.cut]):
        truth.restored.append((now(), network))
        drill.on_event(now(), f"AS{network.asn} in {network.region} is back")
        network.restore()
        await asyncio.sleep(scenario.step.total_seconds() / 4)
    await _wait_for(lambda: _is_over(context), scenario.timeout)
    return truth


async def _wait_step(step: timedelta, drill: Drill) -> None:
    """Wait for `step`; repeat if the event loop was blocked, so that nothing was measured."""
    for _ in range(_MAX_STEPS):
        lag, since = LoopLagMonitor(), perf_counter()
        ticking = asyncio.ensure_future(lag.run())
        await asyncio.sleep(step.total_seconds())
        ticking.cancel()
        if not lag.was_blocked(since, perf_counter()):
            return
        drill.on_event(now(), "this machine was blocked for a moment; waiting longer")


async def _wait_for(condition: Callable[[], bool], limit: timedelta) -> None:
    polls = int(limit / _POLL)
    for _ in range(polls):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(_POLL.total_seconds())


def _is_learned(country: Country, context: ObservatoryContext) -> bool:
    key = SeriesKey(REACHABILITY, country.entity)
    present = now()
    levels = context.store.read_levels(present - timedelta(minutes=5), present, series=key)
    return sum(level.value is not None for level in levels) >= 3


def _is_over(context: ObservatoryContext) -> bool:
    return any(one.state is IncidentState.RESOLVED for one in context.ledger.incidents())


def _all_sent(context: ObservatoryContext) -> bool:
    waiting = (OutboxState.READY, OutboxState.SENDING)
    return not any(context.ledger.outbox.in_state(state) for state in waiting)


async def _stop(running: Sequence["asyncio.Future[None]"]) -> None:
    """Cancel all parts, and raise the exception of the first failed part."""
    await cancel_and_wait(running)
    for part in running:
        if not part.cancelled() and (error := part.exception()):
            raise error


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

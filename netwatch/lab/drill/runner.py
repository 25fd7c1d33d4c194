"""A live shutdown on this machine: real servers, agents, broker, collector, detector, posts."""

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
from netwatch.app.clock import now
from netwatch.app.observatory import (
    ObservatoryContext,
    open_context,
    run_analyze,
    run_broker,
    run_collect,
    run_publish,
)
from netwatch.app.vantage import run_vantage
from netwatch.config import Config, PluginSections, StoreConfig, VantageConfig, write_config
from netwatch.lab.drill.drill_checks import Assertion, GroundTruth, check_drill
from netwatch.lab.drill.scenario import Scenario, drill_config
from netwatch.lab.drill.simulated_country import Country, make_country
from netwatch.model.incident import Incident, IncidentState
from netwatch.model.series import SeriesKey
from netwatch.model.signals import REACHABILITY
from netwatch.protocols import OutboxEntry, OutboxState

Part = Callable[[ObservatoryContext], Coroutine[None, None, None]]
"""Runs the collector or the analysis of a drill until cancelled."""

_MOST_STEPS = 4
_LOOK = timedelta(milliseconds=200)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a drill came to."""

    findings: list[Assertion]
    incidents: list[Incident]
    posts: list[OutboxEntry]

    @property
    def passed(self) -> bool:
        """Whether every finding holds."""
        return all(finding.holds for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Drill:
    """How to run a drill.

    Attributes:
        folder: where its files go; what an earlier drill left there is removed.
        tell: told what happens, with its time.
        script: the course.
        store: which engine keeps the series.
        collect, analyze, publish: what runs these parts; elsewhere than here, to be killed.
        midway: done once the networks are dark.
    """

    folder: Path
    tell: Callable[[datetime, str], None]
    script: Scenario = field(default_factory=Scenario)
    store: StoreConfig = field(default_factory=StoreConfig)
    stores: PluginSections = field(default_factory=dict)
    collect: Part = run_collect
    analyze: Part = run_analyze
    publish: Part = run_publish
    midway: Callable[[], Awaitable[None]] | None = None


async def run_drill(drill: Drill) -> Outcome:
    """Cut a made-up country off, let it back, and return whether that was told.

    Ends by itself: every wait has a limit, after which the drill goes on and fails.
    """
    shutil.rmtree(drill.folder, ignore_errors=True)
    country = make_country(drill.script.networks)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(country)
        config = drill_config(
            str(drill.folder), _free_port(), country=country, targets=country.targets()
        )
        config = msgspec.structs.replace(config, store=drill.store, stores=drill.stores)
        await asyncio.to_thread(write_config, config, drill.folder / "netwatch.toml")
        opened = stack.enter_context(open_context(config))
        await stack.enter_async_context(run_broker(config))
        parts = [drill.collect(opened), drill.analyze(opened), drill.publish(opened)]
        parts += [run_vantage(one) for one in _vantages(config, drill.script.agents)]
        running = [asyncio.ensure_future(part) for part in parts]
        try:
            course = await _play(drill, country, opened)
            await _until(lambda: _all_sent(opened), drill.script.patience)
        finally:
            await _stop(running)
        incidents = opened.ledger.incidents()
        posts = [entry for one in incidents for entry in opened.ledger.posts(one.id)]
        return Outcome(check_drill(course, country, incidents, posts), incidents, posts)


def _vantages(config: Config, count: int) -> list[Config]:
    """Return the configuration of each agent: same targets, places of their own."""
    return [
        msgspec.structs.replace(
            config, vantage=VantageConfig(id=f"agent-{number}", country="ZZ", asn=65000 + number)
        )
        for number in range(1, count + 1)
    ]


async def _play(drill: Drill, country: Country, opened: ObservatoryContext) -> GroundTruth:
    """Let the course happen and tell of it."""
    script, course = drill.script, GroundTruth([], [])
    drill.tell(now(), f"{script.agents} agents probe {script.networks} networks")
    await _until(lambda: _is_learned(country, opened), script.patience)
    drill.tell(now(), "what is ordinary is known")
    for network in country.networks[: script.cut]:
        course.cut.append((now(), network))
        drill.tell(now(), f"AS{network.asn} in {network.region} is cut")
        network.cut()
        await _keep_time(script.step, drill)
    drill.tell(now(), f"{script.cut} of {script.networks} networks are dark")
    if drill.midway is not None:
        await drill.midway()
    await asyncio.sleep(script.dark.total_seconds())
    for network in reversed(country.networks[: script.cut]):
        course.restored.append((now(), network))
        drill.tell(now(), f"AS{network.asn} in {network.region} is back")
        network.restore()
        await asyncio.sleep(script.step.total_seconds() / 4)
    await _until(lambda: _is_over(opened), script.patience)
    return course


async def _keep_time(step: timedelta, drill: Drill) -> None:
    """Wait for `step`; again, if the machine stood still meanwhile and measured nothing."""
    for _ in range(_MOST_STEPS):
        stalls, since = LoopLagMonitor(), perf_counter()
        ticking = asyncio.ensure_future(stalls.run())
        await asyncio.sleep(step.total_seconds())
        ticking.cancel()
        if not stalls.was_blocked(since, perf_counter()):
            return
        drill.tell(now(), "this machine stood still for a moment; waiting a little longer")


async def _until(condition: Callable[[], bool], patience: timedelta) -> None:
    """Wait for `condition`, but no longer than `patience`."""
    looks = int(patience / _LOOK)
    for _ in range(looks):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(_LOOK.total_seconds())


def _is_learned(country: Country, opened: ObservatoryContext) -> bool:
    """Return whether the country has had an ordinary level for three bins."""
    key = SeriesKey(REACHABILITY, country.entity)
    present = now()
    levels = opened.store.read_levels(present - timedelta(minutes=5), present, series=key)
    return sum(level.value is not None for level in levels) >= 3


def _is_over(opened: ObservatoryContext) -> bool:
    """Return whether an incident is resolved."""
    return any(one.state is IncidentState.RESOLVED for one in opened.ledger.incidents())


def _all_sent(opened: ObservatoryContext) -> bool:
    """Return whether no post waits."""
    waiting = (OutboxState.READY, OutboxState.SENDING)
    return not any(opened.ledger.in_state(state) for state in waiting)


async def _stop(running: Sequence["asyncio.Future[None]"]) -> None:
    """Cancel every part, wait for it, and raise what one of them died of."""
    await cancel_and_wait(running)
    for part in running:
        if not part.cancelled() and (error := part.exception()):
            raise error


def _free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

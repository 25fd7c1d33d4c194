"""Runs one probe at one target and says what came of it."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import perf_counter

from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.health.routes import has_route
from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.protocols import Clock, Probe

_log = logging.getLogger("netwatch.agent.measure.probe_runner")
_OVERRUN = 1.0
"""Seconds beyond its time after which a probe is stopped from outside."""
_OUR_FAULT = "unknown_failure: probe"
_NO_WAY = "network_unreachable"


@dataclass(frozen=True, slots=True)
class ProbeRunner:
    """Turns a target into a measurement; never raises for what a network or a probe does.

    Attributes:
        probes: name and probe; a target whose probe is not there gets a local failure.
        clock: the wall clock.
        timeout: seconds that a probe may take.
        stalls: says when this process was held up; a failure then is its own.
    """

    probes: Mapping[str, Probe]
    clock: Clock
    timeout: float
    stalls: LoopLagMonitor = field(default_factory=LoopLagMonitor)

    async def measure(self, target: Target) -> Measurement:
        """Run the target's probe once."""
        time, since = self.clock(), perf_counter()
        observations = await self._observe(target)
        until = perf_counter()
        found = _summarise(target, time, until - since, observations)
        if found.failure == _NO_WAY and has_route(target.host):
            # A router on the way said so, not this machine: that is no fault of ours.
            found = replace(found, scope=FailureScope.UNREACHABLE.value)
        if found.failure is not None and self.stalls.stalled(since, until):
            return replace(found, scope=FailureScope.LOCAL.value, host_responded=False)
        return found

    async def _observe(self, target: Target) -> tuple[Observation, ...]:
        """Call the probe, guarded: a fault in a probe never counts against a target."""
        probe = self.probes.get(target.probe)
        if probe is None:
            return (Observation("probe", "unavailable", 0.0),)
        since = perf_counter()
        try:
            async with asyncio.timeout(self.timeout + _OVERRUN):
                return await probe.measure(target, within=self.timeout)
        except Exception:  # noqa: BLE001 - a plugin may raise anything, and must not end us
            _log.exception("probe %s failed at target %s", target.probe, target.id)
        return (Observation("probe", _OUR_FAULT, perf_counter() - since),)


def _summarise(
    target: Target, time: datetime, seconds: float, observations: tuple[Observation, ...]
) -> Measurement:
    """Sum up: the last observation's failure is the measurement's.

    The host is host_responded if it gave the failure itself, or if a step that needs its answer
    succeeded before.
    """
    last = observations[-1].failure if observations else _OUR_FAULT
    if last is None:
        return Measurement(
            target.id,
            target.probe,
            time,
            None,
            "",
            host_responded=True,
            seconds=seconds,
            observations=observations,
        )
    failure = lookup_failure(last)
    answered = any(step.failure is None and step.operation != "resolve" for step in observations)
    return Measurement(
        target=target.id,
        probe=target.probe,
        time=time,
        failure=failure.word,
        scope=failure.scope.value,
        host_responded=failure.scope is not FailureScope.LOCAL
        and (failure.host_responded or answered),
        seconds=seconds,
        observations=observations,
    )

"""Runs one probe at one target and summarises its observations as a measurement."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import perf_counter

from netwatch.agent.health.local_fault import label_machine_fault
from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.measure.budget import DailyBudget
from netwatch.model.addresses import is_loopback
from netwatch.model.byte_counter import ByteCounter
from netwatch.model.canary import for_agent
from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Measurement, Observation, Target
from netwatch.model.text import as_word
from netwatch.protocols import Clock, Probe

_log = logging.getLogger("netwatch.agent.measure.probe_runner")
_GRACE = 1.0
"""Seconds beyond its timeout after which a probe is cancelled."""
_PROBE_ERROR = "unknown_failure: probe"
_UNNAMED = "step"
"""The operation of an observation that names none."""


@dataclass(frozen=True, slots=True)
class ProbeRunner:
    """Turns a target into a measurement; never raises for a failing network or probe.

    Attributes:
        probes: by name; a target whose probe is missing gets a local failure.
        timeout: seconds that a probe may take.
        loop_lag: a failure while the event loop was blocked counts as local.
        budget: where the bytes that a probe moves are committed.
        agent: name of the vantage, for its page of a canary.
        clock_offset: returns by how many seconds `clock` is slow, None if unknown.
    """

    probes: Mapping[str, Probe]
    clock: Clock
    timeout: float
    loop_lag: LoopLagMonitor = field(default_factory=LoopLagMonitor)
    budget: DailyBudget = field(default_factory=DailyBudget)
    agent: str = ""
    clock_offset: Callable[[], float | None] = lambda: 0.0

    async def measure(self, target: Target) -> Measurement:
        """Run the target's probe once."""
        probe = self.probes.get(target.probe)
        time, start = self.clock(), perf_counter()
        offset = self.clock_offset()
        true_time = None if offset is None else time + timedelta(seconds=offset)
        with ByteCounter() as counter:
            observations = await self._observe(probe, for_agent(target, self.agent, true_time))
        end = perf_counter()
        if not is_loopback(target.host):
            self.budget.commit((probe or Probe).cost_bytes, counter.bytes)
        measurement = _summarise(target, time, end - start, observations)
        blocked = self.loop_lag.was_blocked(start, end)
        return label_machine_fault(measurement, target, loop_blocked=blocked)

    async def _observe(self, probe: Probe | None, target: Target) -> tuple[Observation, ...]:
        """Call the probe; an error in it becomes a local failure."""
        if probe is None:
            return (Observation("probe", "unavailable", 0.0),)
        start = perf_counter()
        try:
            async with asyncio.timeout(self.timeout + _GRACE):
                return await probe.measure(target, within=self.timeout)
        except TimeoutError:
            _log.warning("probe %s took too long at target %s", target.probe, target.id)
        except Exception:  # noqa: BLE001 - a plugin may raise anything, and must not end the agent
            _log.exception("probe %s failed at target %s", target.probe, target.id)
        return (Observation("probe", _PROBE_ERROR, perf_counter() - start),)


def _as_words(step: Observation) -> Observation:
    failure = None if step.failure is None else as_word(step.failure)
    operation = as_word(step.operation) or _UNNAMED
    return replace(step, operation=operation, failure=failure, detail=as_word(step.detail))


def _summarise(
    target: Target, time: datetime, seconds: float, observations: tuple[Observation, ...]
) -> Measurement:
    """Fail as the last step does; a step other than `resolve` needs the host's response.

    What a probe says is made what may be sent: a plugin, or the server that it asked, may say
    anything.
    """
    observations = tuple(map(_as_words, observations))
    word = observations[-1].failure if observations else _PROBE_ERROR
    scope, host_responded = "", True
    if word is not None:
        failure = lookup_failure(word)
        scope = failure.scope.value
        host_responded = failure.scope is not FailureScope.LOCAL and (
            failure.host_responded
            or any(step.failure is None and step.operation != "resolve" for step in observations)
        )
    return Measurement(
        target=target.id,
        probe=target.probe,
        time=time,
        failure=word,
        scope=scope,
        host_responded=host_responded,
        seconds=seconds,
        observations=observations,
    )

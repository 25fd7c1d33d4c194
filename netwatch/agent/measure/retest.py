"""Retests a target's first failure between two probes of a control.

control, retest, control: Censored Planet's Satellite v2 made timeouts usable as evidence this
way. The first failure is what counts; the outcome of the retest is added to its last step.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from random import Random
from time import monotonic

from netwatch.agent.health.judge_health import WitnessTier, tier_of
from netwatch.agent.health.local_fault import label_network_fault
from netwatch.agent.measure.admission import AdmissionControl
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target

_CONTROL_TTL = 2.0
"""Seconds for which the result of a control serves all targets that fail meanwhile."""
_PAUSE = (1.0, 3.0)
"""Least and most seconds before the retest."""
_CONTROL_TIERS = (WitnessTier.INTERNATIONAL, WitnessTier.DOMESTIC, WitnessTier.ISP)
"""Tiers that serve as controls; the first tier with witnesses is used."""


class RetestOutcome(StrEnum):
    """How a retest ended."""

    CONFIRMED = "confirmed"
    PASSED = "passed"
    CONTROLS_FAILED = "controls_failed"
    NOT_RETESTED = "not_retested"


class FailureRetester:
    """Retests first failures, if there is a control.

    The witnesses of the farthest tier among `targets` serve as controls, and those of the LAN show
    whether the fault is local. `pause` is the least and most seconds before the retest.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        admission: AdmissionControl,
        runner: ProbeRunner,
        random: Random,
        pause: tuple[float, float] = _PAUSE,
    ) -> None:
        self._admission, self._runner = admission, runner
        self._random, self._pause = random, pause
        by_tier = {
            tier: [target for target in targets if tier_of(target) is tier] for tier in WitnessTier
        }
        self._controls = next((by_tier[tier] for tier in _CONTROL_TIERS if by_tier[tier]), [])
        self._lan = by_tier[WitnessTier.LAN]
        self._failing: set[str] = set()
        self._cache: dict[str, tuple[float, asyncio.Future[bool | None]]] = {}

    async def retest(self, measurement: Measurement, target: Target) -> Measurement:
        """Return `measurement`; a first failure with its outcome, or with the scope `local`."""
        if measurement.failure is None or measurement.host_responded:
            self._failing.discard(target.id)
            return measurement
        is_first = target.id not in self._failing
        self._failing.add(target.id)
        is_local = measurement.scope == FailureScope.LOCAL
        if not is_first or is_local or not self._controls or tier_of(target) is not None:
            return measurement
        before = await self._any_responds(self._controls)
        await asyncio.sleep(self._random.uniform(*self._pause))
        second = await self._responds(target)
        after = await self._any_responds(self._controls)
        if before is None or second is None or after is None:
            return _annotate(measurement, RetestOutcome.NOT_RETESTED)
        if before and after:
            if second:
                self._failing.discard(target.id)
            outcome = RetestOutcome.PASSED if second else RetestOutcome.CONFIRMED
            return _annotate(measurement, outcome)
        measurement = _annotate(measurement, RetestOutcome.CONTROLS_FAILED)
        if self._lan and await self._any_responds(self._lan) is False:
            return label_network_fault(measurement, target, line_is_dead=True)
        return measurement

    async def _any_responds(self, controls: Sequence[Target]) -> bool | None:
        """Return whether a control responds, at most two seconds ago; None if not admitted."""
        key = controls[0].id
        cached = self._cache.get(key)
        if cached is None or (cached[1].done() and monotonic() - cached[0] > _CONTROL_TTL):
            chosen = self._random.sample(controls, k=1)[0]
            cached = (monotonic(), asyncio.ensure_future(self._responds(chosen)))
            self._cache[key] = cached
        return await asyncio.shield(cached[1])

    async def _responds(self, target: Target) -> bool | None:
        if not await self._admission.wait_unscheduled(target):
            return None
        return (await self._runner.measure(target)).host_responded


def _annotate(measurement: Measurement, outcome: RetestOutcome) -> Measurement:
    if not measurement.observations:
        return measurement
    *others, last = measurement.observations
    detail = f"{last.detail},{outcome}" if last.detail else outcome.value
    return replace(measurement, observations=(*others, replace(last, detail=detail)))

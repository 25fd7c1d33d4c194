"""The sandwich: a target's first failure is asked again between two looks at a control.

control, retry, control (Censored Planet's Satellite v2 made timeouts usable as evidence
this way). The first failure is what counts; how it was confirmed is noted on its last step.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from random import Random
from time import monotonic

from netwatch.agent.health.health import WitnessTier, tier_of
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target

_FRESH = 2.0
"""Seconds for which what a control said serves every target that fails meanwhile."""
_PAUSE = (1.0, 3.0)
_BY_DISTANCE = (WitnessTier.INTERNATIONAL, WitnessTier.DOMESTIC, WitnessTier.ISP)

Measure = Callable[[Target], Awaitable[Measurement | None]]


class Confirmation:
    """The words for how a first failure was confirmed."""

    CONFIRMED = "confirmed"
    PASSED = "passed"
    CONTROLS_FAILED = "controls_failed"
    NOT_ASKED = "not_asked"


class FailureRetester:
    """Confirms first failures, if there is a control to ask.

    Args:
        targets: all targets; those that witness for the far rungs serve as controls, those
            of the LAN tell whether it is us.
        measure: runs one probe, within what the agent may ask of others; None where it
            may not now.
        pause: least and most seconds before the retry.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        measure: Measure,
        *,
        random: Random,
        pause: tuple[float, float] = _PAUSE,
    ) -> None:
        self._measure = measure
        self._random = random
        self._pause = pause
        self._controls: list[Target] = []
        for rung in _BY_DISTANCE:
            self._controls = self._controls or [one for one in targets if tier_of(one) is rung]
        self._lan = [one for one in targets if tier_of(one) is WitnessTier.LAN]
        self._failing: set[str] = set()
        self._asked: dict[bool, tuple[float, asyncio.Future[bool | None]]] = {}

    def succeeded(self, target: Target) -> None:
        """Hear that a target is well; its next failure is a first one."""
        self._failing.discard(target.id)

    async def confirm(self, measurement: Measurement, target: Target) -> Measurement:
        """Return `measurement`; a first failure with its confirmation, or as our own fault."""
        failed = measurement.failure is not None and not measurement.host_responded
        first = failed and target.id not in self._failing
        (self._failing.add if failed else self._failing.discard)(target.id)
        if (
            not first
            or not self._controls
            or measurement.scope == FailureScope.LOCAL
            or tier_of(target)
        ):
            return measurement
        before = await self._ask(near=False)
        await asyncio.sleep(self._random.uniform(*self._pause))
        again = await self._measure(target)
        after = await self._ask(near=False)
        if again is None or before is None or after is None:
            return _noted(measurement, Confirmation.NOT_ASKED)
        if before and after:
            if again.failure is None or again.host_responded:
                self._failing.discard(target.id)
                return _noted(measurement, Confirmation.PASSED)
            return _noted(measurement, Confirmation.CONFIRMED)
        noted = _noted(measurement, Confirmation.CONTROLS_FAILED)
        if self._lan and await self._ask(near=True) is False:
            return replace(noted, scope=FailureScope.LOCAL.value)
        return noted

    async def _ask(self, *, near: bool) -> bool | None:
        """Tell whether a control answers, near or far; one that was just asked is not again.

        None where it may not be asked.
        """
        asked = self._asked.get(near)
        if asked is None or (asked[1].done() and monotonic() - asked[0] > _FRESH):
            chosen = self._random.sample(self._lan if near else self._controls, k=1)[0]
            asked = (monotonic(), asyncio.ensure_future(self._is_alive(chosen)))
            self._asked[near] = asked
        return await asyncio.shield(asked[1])

    async def _is_alive(self, control: Target) -> bool | None:
        said = await self._measure(control)
        return None if said is None else said.host_responded


def _noted(measurement: Measurement, word: str) -> Measurement:
    """Return `measurement` with `word` on the step that failed."""
    if not measurement.observations:
        return measurement
    *others, last = measurement.observations
    detail = f"{last.detail},{word}" if last.detail else word
    return replace(measurement, observations=(*others, replace(last, detail=detail)))

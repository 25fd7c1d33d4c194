"""Decides whether a failure is the vantage's own fault, and so says nothing about its target.

`netwatch.model.failure` has the words that are always local, and the conditions of those that may
be; everything else that makes a failure local is here.
"""

from collections.abc import Collection
from dataclasses import replace

from netwatch.agent.health.gateway import has_route
from netwatch.agent.health.judge_health import Flag, HealthState, WitnessTier, tier_of
from netwatch.model.failure import FailureScope, LocalCondition, lookup_failure
from netwatch.model.measurement import Measurement, Target

_LINE_DOWN = {HealthState.LAN_DOWN, HealthState.OVERLOADED, HealthState.ASLEEP}
"""States in which a failure without a response says nothing about a target."""


def label_local_fault(
    measurement: Measurement,
    target: Target,
    *,
    state: HealthState = HealthState.UNKNOWN,
    flags: Collection[Flag] = (),
    loop_blocked: bool = False,
) -> Measurement:
    """Return `measurement`, with the scope `local` if its outcome is the vantage's own fault.

    `state` and `flags` are the vantage's health; `loop_blocked` is whether the event loop was
    blocked meanwhile, so that any timeout may be false.
    """
    if loop_blocked and measurement.failure is not None:
        return replace(measurement, scope=FailureScope.LOCAL.value, host_responded=False)
    if _is_local(measurement, target, state, flags):
        return replace(measurement, scope=FailureScope.LOCAL.value)
    if _condition(measurement) is LocalCondition.WITHOUT_ROUTE:
        # A router on the path reported it, not this machine.
        return replace(measurement, scope=FailureScope.UNREACHABLE.value)
    return measurement


def _is_local(
    measurement: Measurement, target: Target, state: HealthState, flags: Collection[Flag]
) -> bool:
    if Flag.CAPTIVE in flags:
        # A portal answers for every host: neither success nor failure is the target's.
        return tier_of(target) is not WitnessTier.CAPTIVE
    if measurement.failure is None:
        return False
    if state in _LINE_DOWN and not measurement.host_responded:
        return True
    condition = _condition(measurement)
    return (
        condition is LocalCondition.ALWAYS
        or (condition is LocalCondition.WITHOUT_ROUTE and not has_route(target.host))
        or (condition is LocalCondition.WRONG_CLOCK and Flag.CLOCK_BAD in flags)
    )


def _condition(measurement: Measurement) -> LocalCondition | None:
    return lookup_failure(measurement.failure).local_if if measurement.failure else None

"""Decides whether a failure is the vantage's own fault, and so says nothing about its target.

`netwatch.model.failure` has the words that are always local, and the conditions of those that may
be; everything else that makes a failure local is here. There are two decisions: as the probe ends,
by this machine's routes and load at that moment, and afterwards, by the health of its network. The
second adds local faults and withdraws none.
"""

from collections.abc import Collection
from dataclasses import replace

from netwatch.agent.health.gateway import has_route
from netwatch.agent.health.judge_health import Flag, HealthState, WitnessTier, tier_of
from netwatch.model.failure import FailureScope, LocalCondition, lookup_failure
from netwatch.model.measurement import Measurement, Target

_LINE_DOWN = {HealthState.LAN_DOWN, HealthState.OVERLOADED, HealthState.ASLEEP}
"""States in which a failure without a response says nothing about a target."""


def label_machine_fault(
    measurement: Measurement, target: Target, *, loop_blocked: bool = False
) -> Measurement:
    """Return `measurement` as its probe has ended, with the scope `local` if this machine failed.

    `loop_blocked` is whether the event loop was blocked meanwhile, so that any timeout may be
    false.
    """
    if loop_blocked and measurement.failure is not None:
        return replace(measurement, scope=FailureScope.LOCAL.value, host_responded=False)
    condition = _condition(measurement)
    if condition is LocalCondition.WITHOUT_ROUTE and has_route(target.host):
        # A router on the path reported it, not this machine.
        return replace(measurement, scope=FailureScope.UNREACHABLE.value)
    if condition in {LocalCondition.ALWAYS, LocalCondition.WITHOUT_ROUTE}:
        return replace(measurement, scope=FailureScope.LOCAL.value)
    return measurement


def label_network_fault(
    measurement: Measurement,
    target: Target,
    *,
    state: HealthState = HealthState.UNKNOWN,
    flags: Collection[Flag] = (),
    line_is_dead: bool = False,
) -> Measurement:
    """Return `measurement`, with the scope `local` if the vantage's network or clock explains it.

    `state` and `flags` are the vantage's health. `line_is_dead` is whether nothing can respond,
    whatever the state: nothing ever did over the target's address family, or the LAN is silent now.
    """
    is_line_down = line_is_dead or state in _LINE_DOWN
    if _is_network_fault(measurement, target, flags, is_line_down=is_line_down):
        return replace(measurement, scope=FailureScope.LOCAL.value)
    return measurement


def _is_network_fault(
    measurement: Measurement, target: Target, flags: Collection[Flag], *, is_line_down: bool
) -> bool:
    if Flag.CAPTIVE in flags:
        # A portal answers for every host: neither success nor failure is the target's.
        return tier_of(target) is not WitnessTier.CAPTIVE
    if measurement.failure is None:
        return False
    if is_line_down and not measurement.host_responded:
        return True
    return _condition(measurement) is LocalCondition.WRONG_CLOCK and Flag.CLOCK_BAD in flags


def _condition(measurement: Measurement) -> LocalCondition | None:
    return lookup_failure(measurement.failure).local_if if measurement.failure else None

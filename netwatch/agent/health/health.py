"""Is it me or is it them? What the witnesses on five rungs say together, as pure functions.

A witness is an ordinary target of a group of its own: the gateway, the provider's resolver,
controls inside the country, controls abroad. What fails together tells where the line is cut.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from netwatch.model.measurement import Target

WITNESS = "witness-"
"""How the group of a witness begins; the rung follows."""


class WitnessTier(StrEnum):
    """How far a witness is away. `names`, `silent` and `captive` stand beside the ladder."""

    LAN = "lan"
    ISP = "isp"
    DOMESTIC = "domestic"
    INTERNATIONAL = "international"
    NAMES = "names"
    SILENT = "silent"
    CAPTIVE = "captive"


_RUNGS = {WITNESS + rung: rung for rung in WitnessTier}


class TierState(StrEnum):
    """What a rung's witnesses say together."""

    UP = "up"
    PARTIAL = "partial"
    DOWN = "down"
    UNKNOWN = "unknown"


class HealthState(StrEnum):
    """What a vantage is in, for one address family."""

    OK = "ok"
    DEGRADED = "degraded"
    INTL_CUT = "intl_cut"
    ISP_CUT = "isp_cut"
    LAN_DOWN = "lan_down"
    CAPTIVE = "captive"
    DNS_ONLY = "dns_only"
    OVERLOADED = "overloaded"
    ASLEEP = "asleep"
    UNKNOWN = "unknown"


class Flag(StrEnum):
    """What is known besides the state; measuring goes on with any of them."""

    CAPTIVE = "captive"
    DNS_HIJACKED = "dns_hijacked"
    VPN = "vpn"
    CLOCK_BAD = "clock_bad"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one witness said last."""

    rung: WitnessTier
    host_responded: bool


def tier_of(target: Target) -> WitnessTier | None:
    """Return the rung that a target is a witness for, None for an ordinary target."""
    return _RUNGS.get(target.group)


def judge_tier(readings: Iterable[Reading], rung: WitnessTier) -> TierState:
    """Return what the witnesses of `rung` say: one that is host_responded proves the way to it."""
    said = [reading.host_responded for reading in readings if reading.rung is rung]
    if not said:
        return TierState.UNKNOWN
    if all(said):
        return TierState.UP
    return TierState.PARTIAL if any(said) else TierState.DOWN


def judge_health(readings: Iterable[Reading], flags: Iterable[Flag] = ()) -> HealthState:
    """Return the state that the readings and flags add up to.

    The farthest rung that answers says how far the line goes. International dead with the
    domestic one host_responded is the shape of a national shutdown.
    """
    rows, raised = list(readings), set(flags)
    rungs = {rung: judge_tier(rows, rung) for rung in WitnessTier}
    if Flag.OVERLOADED in raised:
        return HealthState.OVERLOADED
    if Flag.CAPTIVE in raised:
        return HealthState.CAPTIVE
    if rungs[WitnessTier.INTERNATIONAL] in {TierState.UP, TierState.PARTIAL}:
        return _connected(rungs)
    if rungs[WitnessTier.INTERNATIONAL] is TierState.UNKNOWN:
        return _without_abroad(rungs)
    if _answers(rungs, WitnessTier.DOMESTIC):
        return HealthState.INTL_CUT
    return _cut_nearby(rungs)


def _connected(rungs: Mapping[WitnessTier, TierState]) -> HealthState:
    """Judge a vantage that reaches the world."""
    if rungs[WitnessTier.NAMES] is TierState.DOWN:
        return HealthState.DNS_ONLY
    # The gateway and the provider's resolver may keep silent on purpose.
    weak = {TierState.PARTIAL, TierState.DOWN}
    if rungs[WitnessTier.INTERNATIONAL] in weak or rungs[WitnessTier.DOMESTIC] in weak:
        return HealthState.DEGRADED
    return HealthState.OK


def _without_abroad(rungs: Mapping[WitnessTier, TierState]) -> HealthState:
    """Judge a vantage that has no witness abroad."""
    if rungs[WitnessTier.DOMESTIC] is TierState.DOWN:
        return _cut_nearby(rungs)
    if rungs[WitnessTier.DOMESTIC] is TierState.UNKNOWN:
        return (
            HealthState.LAN_DOWN
            if rungs[WitnessTier.LAN] is TierState.DOWN
            else HealthState.UNKNOWN
        )
    return _connected(rungs)


def _cut_nearby(rungs: Mapping[WitnessTier, TierState]) -> HealthState:
    """Judge a vantage that reaches neither the world nor its country."""
    if _answers(rungs, WitnessTier.ISP) or _answers(rungs, WitnessTier.LAN):
        return HealthState.ISP_CUT
    if rungs[WitnessTier.LAN] is TierState.DOWN:
        return HealthState.LAN_DOWN
    return HealthState.UNKNOWN


def _answers(rungs: Mapping[WitnessTier, TierState], rung: WitnessTier) -> bool:
    """Tell whether any witness of a rung is host_responded."""
    return rungs[rung] in {TierState.UP, TierState.PARTIAL}

"""Judges a vantage's own network from its witnesses, as pure functions.

A witness is an ordinary target whose group names a tier; the farthest tier that responds shows
where the line is cut.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from netwatch.model.measurement import Target

WITNESS = "witness-"
"""Prefix of a witness's group; the tier follows."""


class WitnessTier(StrEnum):
    """How far away a witness is. `names`, `silent` and `captive` are special checks."""

    LAN = "lan"
    ISP = "isp"
    DOMESTIC = "domestic"
    INTERNATIONAL = "international"
    NAMES = "names"
    SILENT = "silent"
    CAPTIVE = "captive"


class TierState(StrEnum):
    """Whether all, some or none of a tier's witnesses respond."""

    UP = "up"
    PARTIAL = "partial"
    DOWN = "down"
    UNKNOWN = "unknown"


class HealthState(StrEnum):
    """State of a vantage's network, per address family."""

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
    """Faults that are independent of the state; measuring continues with any of them."""

    CAPTIVE = "captive"
    DNS_HIJACKED = "dns_hijacked"
    VPN = "vpn"
    CLOCK_BAD = "clock_bad"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class WitnessResult:
    """Whether one witness responded at its last measurement."""

    tier: WitnessTier
    responds: bool


_TIER_BY_GROUP = {WITNESS + tier: tier for tier in WitnessTier}
_RESPONDING = {TierState.UP, TierState.PARTIAL}
_WEAK = {TierState.PARTIAL, TierState.DOWN}


def tier_of(target: Target) -> WitnessTier | None:
    """Return the tier of a witness, None for an ordinary target."""
    return _TIER_BY_GROUP.get(target.group)


def judge_tier(results: Iterable[WitnessResult], tier: WitnessTier) -> TierState:
    """Return the state of one tier; a single response proves that the path to it works."""
    responses = [result.responds for result in results if result.tier is tier]
    if not responses:
        return TierState.UNKNOWN
    if all(responses):
        return TierState.UP
    return TierState.PARTIAL if any(responses) else TierState.DOWN


def judge_health(results: Iterable[WitnessResult], flags: Iterable[Flag] = ()) -> HealthState:
    """Return the state that the results and flags imply.

    `international` down while `domestic` responds is the signature of a national shutdown.
    """
    known, raised = list(results), set(flags)
    tiers = {tier: judge_tier(known, tier) for tier in WitnessTier}
    if Flag.OVERLOADED in raised:
        return HealthState.OVERLOADED
    if Flag.CAPTIVE in raised:
        return HealthState.CAPTIVE
    abroad, domestic = tiers[WitnessTier.INTERNATIONAL], tiers[WitnessTier.DOMESTIC]
    if abroad in _RESPONDING:
        return _judge_connected(tiers)
    if domestic in _RESPONDING:
        return _judge_connected(tiers) if abroad is TierState.UNKNOWN else HealthState.INTL_CUT
    nearby = {tiers[WitnessTier.ISP], tiers[WitnessTier.LAN]}
    if nearby & _RESPONDING and TierState.DOWN in {abroad, domestic}:
        return HealthState.ISP_CUT
    lan_is_down = tiers[WitnessTier.LAN] is TierState.DOWN
    return HealthState.LAN_DOWN if lan_is_down else HealthState.UNKNOWN


def _judge_connected(tiers: Mapping[WitnessTier, TierState]) -> HealthState:
    if tiers[WitnessTier.NAMES] is TierState.DOWN:
        return HealthState.DNS_ONLY
    # The gateway and the provider's resolver may be silent on purpose.
    if tiers[WitnessTier.INTERNATIONAL] in _WEAK or tiers[WitnessTier.DOMESTIC] in _WEAK:
        return HealthState.DEGRADED
    return HealthState.OK

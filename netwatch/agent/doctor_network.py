"""Looks at a vantage's line as a running agent would: gateway, portal, names, and the ladder."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from netwatch.agent.check_result import CheckResult
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.health import (
    Flag,
    HealthState,
    TierState,
    WitnessResult,
    WitnessTier,
    judge_tier,
    tier_of,
)
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.model.addresses import address_family
from netwatch.model.measurement import Measurement, Target

RunProbe = Callable[[Target], Awaitable[Measurement]]
_MOST = 30
"""Witnesses that are asked: enough for any list, and soon done."""
_LINES = {
    HealthState.INTL_CUT: (
        "hosts in the country answer and hosts abroad do not: this is what a shutdown looks"
        " like; let the agent run, it keeps what it sees"
    ),
    HealthState.ISP_CUT: "the gateway answers and nothing behind it: ask the provider",
    HealthState.LAN_DOWN: "look at the cable, the wireless network and the router",
    HealthState.DNS_ONLY: "addresses work and names do not: see `names`",
    HealthState.UNKNOWN: "nothing answers: look at the cable and the router first",
}


async def check_gateway(watch: GatewayMonitor) -> CheckResult:
    """Look for the default route, whether it leads into a tunnel, and whether anybody is there."""
    gateways = await watch.read_routes()
    if not gateways:
        fix = "plug in the cable, or join a network"
        return CheckResult("gateway", ok=False, text="no default route", fix=fix)
    if watch.tunnel:
        fix = "leave the VPN, or let `vantage` name the network where it ends"
        return CheckResult("gateway", ok=False, text=f"{watch.tunnel} is a tunnel", fix=fix)
    interfaces = ", ".join(sorted({one.interface for one in gateways.values()}))
    said = await watch.poll()
    dead = [family for family in gateways if said.get(family) is False]
    if len(dead) == len(gateways):
        fix = "switch the router on, or off and on again; look at the cable to it"
        return CheckResult("gateway", ok=False, text=f"by {interfaces}; it is silent", fix=fix)
    return CheckResult("gateway", ok=True, text=f"by {interfaces}")


async def check_line(targets: Sequence[Target], measure: RunProbe) -> list[CheckResult]:
    """Ask every witness once and say what that adds up to."""
    witnesses = [target for target in targets if tier_of(target) is not None][:_MOST]
    ladder = HealthMonitor(witnesses)
    found = await asyncio.gather(*(measure(target) for target in witnesses))
    for measurement, target in zip(found, witnesses, strict=True):
        ladder.update(measurement, target)
    return [
        _find_portal(ladder, witnesses),
        _find_names(ladder, witnesses, found),
        *_find_rungs(ladder, witnesses, found),
    ]


def _find_portal(ladder: HealthMonitor, witnesses: Sequence[Target]) -> CheckResult:
    """Say whether somebody answers in the place of the canaries."""
    if not any(tier_of(target) is WitnessTier.CAPTIVE for target in witnesses):
        return CheckResult("portal", ok=True, text="not looked for: no canary is listed")
    if Flag.CAPTIVE not in ladder.flags:
        return CheckResult("portal", ok=True, text="none in the way")
    fix = "open any page in a browser and log in to this network; measuring goes on, labelled"
    return CheckResult("portal", ok=False, text="a captive portal answers for others", fix=fix)


def _find_names(
    ladder: HealthMonitor, witnesses: Sequence[Target], found: Sequence[Measurement]
) -> CheckResult:
    """Say whether the resolver answers, and whether it makes answers up."""
    said = [
        measurement.host_responded
        for measurement, target in zip(found, witnesses, strict=True)
        if tier_of(target) is WitnessTier.NAMES
    ]
    if not said:
        return CheckResult("names", ok=True, text="not looked at: no name is listed for it")
    if Flag.DNS_HIJACKED in ladder.flags:
        fix = "use another resolver (DNS over TLS or HTTPS); measuring goes on, labelled"
        return CheckResult("names", ok=False, text="answers are made up on the way", fix=fix)
    if not any(said):
        fix = "look at the name servers in /etc/resolv.conf, or use another resolver"
        return CheckResult("names", ok=False, text="no name server answers", fix=fix)
    return CheckResult("names", ok=True, text="answered, and not made up")


def _find_rungs(
    ladder: HealthMonitor, witnesses: Sequence[Target], found: Sequence[Measurement]
) -> list[CheckResult]:
    """Say for each family how far the line goes."""
    findings = []
    for family in sorted({address_family(target.host) for target in witnesses}):
        readings = [
            WitnessResult(rung, measurement.host_responded)
            for measurement, target in zip(found, witnesses, strict=True)
            if address_family(target.host) == family and (rung := tier_of(target)) is not None
        ]
        state = ladder.state(family)
        parts = [
            f"{rung} {said}"
            for rung in (
                WitnessTier.LAN,
                WitnessTier.ISP,
                WitnessTier.DOMESTIC,
                WitnessTier.INTERNATIONAL,
            )
            if (said := judge_tier(readings, rung)) is not TierState.UNKNOWN
        ]
        if parts:
            fix = _LINES.get(state, "")
            text = f"{state}: {', '.join(parts)}"
            findings.append(CheckResult(f"line-v{family}", ok=not fix, text=text, fix=fix))
    return findings

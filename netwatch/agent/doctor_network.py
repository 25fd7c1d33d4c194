"""Checks of a vantage's network: gateway, captive portal, DNS, and each tier of witnesses."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.judge_health import (
    Flag,
    HealthState,
    TierState,
    WitnessResult,
    WitnessTier,
    judge_tier,
    tier_of,
)
from netwatch.model.addresses import address_family
from netwatch.model.measurement import Measurement, Target

RunProbe = Callable[[Target], Awaitable[Measurement]]
_MAX_WITNESSES = 30
"""Witnesses that are probed, so that the check takes seconds."""
_TIERS = (WitnessTier.LAN, WitnessTier.ISP, WitnessTier.DOMESTIC, WitnessTier.INTERNATIONAL)
"""The distances of witnesses, nearest first."""
_FIXES = {
    HealthState.INTL_CUT: (
        "domestic hosts respond and foreign ones do not, as in a shutdown; keep the agent"
        " running, it stores what it measures"
    ),
    HealthState.ISP_CUT: "the gateway responds and nothing behind it: ask the provider",
    HealthState.LAN_DOWN: "check the cable, the wireless network and the router",
    HealthState.DNS_ONLY: "addresses respond and names do not resolve: see `names`",
    HealthState.UNKNOWN: "nothing responds: check the cable and the router first",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check; `fix` says how to repair what failed, or improve what passed."""

    name: str
    ok: bool
    text: str
    fix: str = ""


def passed(name: str, text: str, fix: str = "") -> CheckResult:
    """Return a check that passed."""
    return CheckResult(name, ok=True, text=text, fix=fix)


def failed(name: str, text: str, fix: str) -> CheckResult:
    """Return a check that failed."""
    return CheckResult(name, ok=False, text=text, fix=fix)


async def check_gateway(monitor: GatewayMonitor) -> CheckResult:
    """Check that there is a default route, not into a tunnel, and that its gateway responds."""
    gateways = await monitor.read_routes()
    if not gateways:
        return failed("gateway", "no default route", "plug in the cable, or join a network")
    if monitor.tunnel:
        fix = "disconnect the VPN, or set `vantage` to the network where it ends"
        return failed("gateway", f"{monitor.tunnel} is a tunnel", fix)
    interfaces = ", ".join(sorted({one.interface for one in gateways.values()}))
    responses = await monitor.poll()
    if all(responses.get(family) is False for family in gateways):
        fix = "switch the router on, or off and on again; check the cable to it"
        return failed("gateway", f"no response on {interfaces}", fix)
    return passed("gateway", f"on {interfaces}")


async def check_line(targets: Sequence[Target], run_probe: RunProbe) -> list[CheckResult]:
    """Probe every witness once and judge the results as a running agent does."""
    witnesses = [target for target in targets if tier_of(target) is not None][:_MAX_WITNESSES]
    monitor = HealthMonitor()
    measurements = await asyncio.gather(*(run_probe(target) for target in witnesses))
    results: dict[int, list[WitnessResult]] = {4: [], 6: []}
    for measurement, target in zip(measurements, witnesses, strict=True):
        monitor.update(measurement, target)
        if (tier := tier_of(target)) is not None:
            # Local failures too, which the monitor ignores: a firewall here may forbid everything.
            result = WitnessResult(tier, measurement.host_responded)
            results[address_family(target.host)].append(result)
    everything = [*results[4], *results[6]]
    return [
        _check_portal(monitor, everything),
        _check_names(monitor, everything),
        *(
            check
            for family in results
            if (check := _check_tiers(monitor.state(family), family, results[family])) is not None
        ),
    ]


def _check_portal(monitor: HealthMonitor, results: Sequence[WitnessResult]) -> CheckResult:
    if not any(result.tier is WitnessTier.CAPTIVE for result in results):
        return passed("portal", "not checked: the list has no portal check")
    if Flag.CAPTIVE not in monitor.flags:
        return passed("portal", "none")
    fix = "open any page in a browser and log in; until then measurements are labelled local"
    return failed("portal", "a captive portal responds for other hosts", fix)


def _check_names(monitor: HealthMonitor, results: Sequence[WitnessResult]) -> CheckResult:
    responses = [result.responds for result in results if result.tier is WitnessTier.NAMES]
    if not responses:
        return passed("names", "not checked: the list has no DNS witness")
    if Flag.DNS_HIJACKED in monitor.flags:
        fix = "use another resolver (DNS over TLS or HTTPS); until then results are labelled"
        return failed("names", "DNS answers are forged", fix)
    if not any(responses):
        fix = "check the name servers in /etc/resolv.conf, or use another resolver"
        return failed("names", "no name server responds", fix)
    return passed("names", "resolved, and not forged")


def _check_tiers(
    state: HealthState, family: int, results: Sequence[WitnessResult]
) -> CheckResult | None:
    states = {tier: judge_tier(results, tier) for tier in _TIERS}
    known = [f"{tier} {one}" for tier, one in states.items() if one is not TierState.UNKNOWN]
    if not known:
        return None
    fix = _FIXES.get(state, "")
    return CheckResult(f"line-v{family}", ok=not fix, text=f"{state}: {', '.join(known)}", fix=fix)

"""Tracks a vantage's health, and labels measurements that fail because of its own network.

It never stops a measurement. A change of state or flag is an agent event.
"""

from collections.abc import Callable
from datetime import datetime

from netwatch.agent.event_rows import agent_event
from netwatch.agent.health.judge_health import (
    Flag,
    HealthState,
    WitnessResult,
    WitnessTier,
    judge_health,
    tier_of,
)
from netwatch.agent.health.local_fault import label_network_fault
from netwatch.model.addresses import address_family
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target

_CUT_NEARBY = {HealthState.ISP_CUT, HealthState.LAN_DOWN}
"""States in which no target can respond."""
_NO_NETWORK = {"network_unreachable", "network_down"}
"""Local failures that still count for a witness: this machine has no route."""
_FORGED_ANSWER = {"second_answer", "nxdomain_rewritten"}
"""Details of DNS observations that show a forged answer."""
_PORTAL_FAILURES = {
    "http_unexpected_redirect_url",
    "http_unexpected_status_code",
    "http_request_failed",
    "ssl_invalid_hostname",
    "ssl_unknown_authority",
    "dns_bogon_error",
}
"""Failures of a portal check that a captive portal causes; its address is often private."""
_FAR_TIERS = {WitnessTier.ISP, WitnessTier.DOMESTIC, WitnessTier.INTERNATIONAL}
_MIN_RESPONSES = 2
"""Far witnesses, if there are as many, that must respond before IPv6 counts as working."""
_GATEWAY = "@gateway"


class HealthMonitor:
    """Tracks the health of a vantage per address family, by its witnesses.

    `on_event` receives every change of a state or flag.
    """

    def __init__(self, on_event: Callable[[Measurement], None] = lambda _: None) -> None:
        self._on_event = on_event
        self._results: dict[int, dict[str, WitnessResult]] = {4: {}, 6: {}}
        self._states: dict[int, HealthState] = {}
        self._flags: set[Flag] = set()
        self._portal_checks: dict[str, bool] = {}
        self._forged: dict[str, bool] = {}
        self._working_families: set[int] = set()
        self._cut_since: dict[int, datetime] = {}
        self._contradicted: set[int] = set()

    @property
    def flags(self) -> frozenset[Flag]:
        """The flags that are raised."""
        return frozenset(self._flags)

    def state(self, family: int = 4) -> HealthState:
        """Return the state for IPv4 or IPv6."""
        return self._states.get(family, HealthState.UNKNOWN)

    def set_flag(self, flag: Flag, *, raised: bool, time: datetime) -> None:
        """Raise or lower a flag, and judge the states anew if that changes it."""
        if raised != (flag in self._flags):
            self._set_flag(flag, raised=raised, time=time)
            self._judge(time)

    def set_gateway(self, family: int, *, responds: bool | None, time: datetime) -> None:
        """Record whether the default gateway responds; None if that is unknown."""
        self._results[family].pop(_GATEWAY, None)
        if responds is not None:
            self._results[family][_GATEWAY] = WitnessResult(WitnessTier.LAN, responds)
        self._judge(time)

    def reset(self, time: datetime) -> None:
        """Forget all results: the machine was asleep."""
        for family, results in self._results.items():
            if results:
                results.clear()
                self._set_state(family, HealthState.ASLEEP, time)
        self._working_families.clear()

    def update(self, measurement: Measurement, target: Target) -> Measurement:
        """Learn from a measurement; return it, with the scope `local` if the fault is local."""
        tier = tier_of(target)
        if tier is None:
            self._add_ordinary(measurement, address_family(target.host))
        elif measurement.scope != FailureScope.LOCAL or measurement.failure in _NO_NETWORK:
            self._add_witness(measurement, target, tier)
        family = address_family(target.host)
        return label_network_fault(
            measurement,
            target,
            state=self.state(family),
            flags=self._flags,
            line_is_dead=self._ipv6_never_worked(family),
        )

    def _add_witness(self, measurement: Measurement, target: Target, tier: WitnessTier) -> None:
        family = address_family(target.host)
        self._results[family][target.id] = WitnessResult(tier, measurement.host_responded)
        far = self._far_responses(family)
        if far and sum(far) >= min(_MIN_RESPONSES, len(far)):
            self._working_families.add(family)
        if tier is WitnessTier.CAPTIVE:
            self._add_portal_check(measurement)
        elif tier in {WitnessTier.NAMES, WitnessTier.SILENT}:
            self._add_dns_check(measurement, tier)
        self._judge(measurement.time)

    def _add_ordinary(self, measurement: Measurement, family: int) -> None:
        """Doubt a nearby cut while a target responds: then only the witnesses are down."""
        since = self._cut_since.get(family)
        if since is None or measurement.time < since:
            return
        if measurement.host_responded:
            self._contradicted.add(family)
        else:
            self._contradicted.discard(family)
        self._judge(measurement.time)

    def _add_portal_check(self, measurement: Measurement) -> None:
        """Raise `captive` unless a check passed: a portal answers all of them."""
        self._portal_checks.pop(measurement.target, None)
        if measurement.failure is None or measurement.failure in _PORTAL_FAILURES:
            self._portal_checks[measurement.target] = measurement.failure is not None
        answers = self._portal_checks.values()
        self._set_flag(Flag.CAPTIVE, raised=bool(answers) and all(answers), time=measurement.time)

    def _add_dns_check(self, measurement: Measurement, tier: WitnessTier) -> None:
        """Raise `dns_hijacked` on forged answers, or answers from a host without a DNS server."""
        steps = measurement.observations
        if tier is WitnessTier.SILENT:
            self._forged[measurement.target] = any(
                step.operation == "dns_round_trip" and step.failure is None for step in steps
            )
        elif not _FORGED_ANSWER.isdisjoint(step.detail for step in steps):
            self._forged[measurement.target] = True
        elif measurement.failure is None:
            self._forged[measurement.target] = False
        forged = any(self._forged.values())
        self._set_flag(Flag.DNS_HIJACKED, raised=forged, time=measurement.time)

    def _far_responses(self, family: int) -> list[bool]:
        results = self._results[family].values()
        return [one.responds for one in results if one.tier in _FAR_TIERS]

    def _ipv6_never_worked(self, family: int) -> bool:
        """Return whether this machine has IPv6 addresses but has never reached anything."""
        if family != 6 or family in self._working_families:
            return False
        return bool(self._far_responses(family))

    def _judge(self, time: datetime) -> None:
        for family, results in self._results.items():
            if not results:
                continue
            state = judge_health(results.values(), self._flags)
            if state not in _CUT_NEARBY:
                self._cut_since.pop(family, None)
                self._contradicted.discard(family)
            else:
                self._cut_since.setdefault(family, time)
                if family in self._contradicted:
                    state = HealthState.DEGRADED
            self._set_state(family, state, time)

    def _set_state(self, family: int, state: HealthState, time: datetime) -> None:
        if state is not self._states.get(family):
            self._states[family] = state
            failure = None if state is HealthState.OK else state.value
            self._on_event(agent_event(f"health-v{family}", time, failure))

    def _set_flag(self, flag: Flag, *, raised: bool, time: datetime) -> None:
        if raised == (flag in self._flags):
            return
        if raised:
            self._flags.add(flag)
        else:
            self._flags.discard(flag)
        self._on_event(agent_event(f"flag-{flag}", time, flag.value if raised else None))

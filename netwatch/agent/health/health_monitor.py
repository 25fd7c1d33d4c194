"""Keeps what the witnesses said last, and relabels what is our own fault.

It never stops a measurement: it labels. A change of state is a note of its own, which
travels and is kept like a measurement and counts for no target.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address

from netwatch.agent.health.health import (
    Flag,
    HealthState,
    Reading,
    WitnessTier,
    judge_health,
    tier_of,
)
from netwatch.agent.spool.downsample import EVENT_PREFIX
from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement, Target

_GATEWAY = f"{EVENT_PREFIX}gateway"
_OURS = {HealthState.LAN_DOWN, HealthState.OVERLOADED, HealthState.ASLEEP}
"""States in which a failure says nothing about a target."""
_NO_LINE = {"network_unreachable", "network_down"}
"""Local faults that tell of the line all the same: this machine has no way out."""
_REWRITTEN = {"second_answer", "nxdomain_rewritten"}
_PORTAL = {
    "http_unexpected_redirect_url",
    "http_unexpected_status_code",
    "http_request_failed",
    "ssl_invalid_hostname",
    "ssl_unknown_authority",
    "dns_bogon_error",
}
"""How an answer fails that is not the canary's own; a portal's address is often a private one."""
_NEARBY = {HealthState.ISP_CUT, HealthState.LAN_DOWN}
"""States in which no target can answer."""
_DATED = "ssl_invalid_certificate"
_FAR = {WitnessTier.ISP, WitnessTier.DOMESTIC, WitnessTier.INTERNATIONAL}
_ENOUGH = 2
"""Far witnesses that must answer before IPv6 is believed to work, where there are as many."""


def family_of(target: Target) -> int:
    """Return 6 for a target at an IPv6 address, 4 for any other."""
    return _family(target.host)


@lru_cache(maxsize=10_000)
def _family(host: str) -> int:
    try:
        return ip_address(host).version
    except ValueError:
        return 4


class HealthMonitor:
    """The health of a vantage, for IPv4 and IPv6 apart.

    Args:
        witnesses: the targets that are witnesses; others are passed over.
        note: takes a note whenever a state changes.
    """

    def __init__(self, witnesses: Iterable[Target], *, note: Callable[[Measurement], None]) -> None:
        self._rungs = {one.id: rung for one in witnesses if (rung := tier_of(one)) is not None}
        self._note = note
        self._readings: dict[int, dict[str, Reading]] = {4: {}, 6: {}}
        self._flags: set[Flag] = set()
        self._portals: dict[str, bool] = {}
        self._forged: dict[str, bool] = {}
        self._worked: set[int] = set()
        self._states: dict[int, HealthState] = {}
        self._cut_since: dict[int, datetime] = {}
        self._doubted: set[int] = set()

    @property
    def flags(self) -> frozenset[Flag]:
        """What is known besides the states."""
        return frozenset(self._flags)

    def state(self, family: int = 4) -> HealthState:
        """Return the state for IPv4 or IPv6."""
        return self._states.get(family, HealthState.UNKNOWN)

    def raise_flag(self, flag: Flag, *, up: bool, time: datetime) -> None:
        """Raise or lower a flag that others watch, such as the clock's."""
        if up != (flag in self._flags):
            self._set(flag, time, up=up)
            self._judge(time)

    def hear_gateway(self, family: int, *, host_responded: bool | None, time: datetime) -> None:
        """Hear whether the default gateway is there; None where nobody can say."""
        readings = self._readings[family]
        if host_responded is None:
            readings.pop(_GATEWAY, None)
        else:
            readings[_GATEWAY] = Reading(WitnessTier.LAN, host_responded)
        self._judge(time)

    def wake(self, time: datetime) -> None:
        """Hear that the machine has slept: what was known before is not known any more."""
        for family, readings in self._readings.items():
            if readings:
                readings.clear()
                self._become(family, HealthState.ASLEEP, time)
        self._worked.clear()

    def take(self, measurement: Measurement, target: Target) -> Measurement:
        """Hear a measurement; return it with our own faults labelled as such."""
        rung = self._rungs.get(target.id)
        if rung is not None and (
            measurement.scope != FailureScope.LOCAL or measurement.failure in _NO_LINE
        ):
            self._hear(measurement, target, rung)
        if rung is None:
            self._hear_ordinary(measurement, family_of(target))
        if self._is_ours(measurement, target):
            return replace(measurement, scope=FailureScope.LOCAL.value)
        return measurement

    def _is_ours(self, measurement: Measurement, target: Target) -> bool:
        """Tell whether what a measurement says is said about this machine's own line."""
        if Flag.CAPTIVE in self._flags:
            # A portal answers for everybody: neither a success nor a failure is the target's.
            return self._rungs.get(target.id) is not WitnessTier.CAPTIVE
        if measurement.failure is None:
            return False
        if measurement.failure == _DATED and Flag.CLOCK_BAD in self._flags:
            # Whose dates are wrong is the question, and our own clock is known to be.
            return True
        family = family_of(target)
        return not measurement.host_responded and (
            self.state(family) in _OURS or self._is_lame(family)
        )

    def _hear(self, measurement: Measurement, target: Target, rung: WitnessTier) -> None:
        """Take down what a witness said."""
        self._readings[family_of(target)][target.id] = Reading(rung, measurement.host_responded)
        self._learn(family_of(target))
        if rung is WitnessTier.CAPTIVE:
            self._hear_canary(measurement)
        elif rung in {WitnessTier.NAMES, WitnessTier.SILENT}:
            self._hear_names(measurement, rung)
        self._judge(measurement.time)

    def _hear_ordinary(self, measurement: Measurement, family: int) -> None:
        """Doubt a cut nearby while a target answers through it: then the witnesses are down."""
        since = self._cut_since.get(family)
        if since is None or measurement.time < since:
            return
        (self._doubted.add if measurement.host_responded else self._doubted.discard)(family)
        self._judge(measurement.time)

    def _set(self, flag: Flag, time: datetime, *, up: bool) -> None:
        """Raise or lower a flag, and note it where that changes it."""
        if up != (flag in self._flags):
            (self._flags.add if up else self._flags.discard)(flag)
            self._note(note_of(f"flag-{flag}", flag.value if up else None, time))

    def _hear_canary(self, measurement: Measurement) -> None:
        """Take down whether a canary answered as only it can, or somebody in its place.

        One that answered itself outweighs any that did not: a portal would answer for all.
        """
        self._portals.pop(measurement.target, None)
        if measurement.failure is None or measurement.failure in _PORTAL:
            self._portals[measurement.target] = measurement.failure is not None
        said = self._portals.values()
        self._set(Flag.CAPTIVE, measurement.time, up=bool(said) and all(said))

    def _hear_names(self, measurement: Measurement, rung: WitnessTier) -> None:
        """Take down whether somebody answers in a name server's place.

        That is so where answers are made up, and where a host answers that runs no server:
        then whatever goes to port 53 is caught on the way.
        """
        steps = measurement.observations
        if rung is WitnessTier.SILENT:
            answered = any(
                step.operation == "dns_round_trip" and step.failure is None for step in steps
            )
            self._forged[measurement.target] = answered
        elif not _REWRITTEN.isdisjoint(step.detail for step in steps):
            self._forged[measurement.target] = True
        elif measurement.failure is None:
            self._forged[measurement.target] = False
        self._set(Flag.DNS_HIJACKED, measurement.time, up=any(self._forged.values()))

    def _learn(self, family: int) -> None:
        """Note that a family leads somewhere, once enough of its far witnesses answer."""
        far = self._far(family)
        if far and sum(far) >= min(_ENOUGH, len(far)):
            self._worked.add(family)

    def _far(self, family: int) -> list[bool]:
        """Return who of the witnesses beyond the gateway is host_responded."""
        return [one.host_responded for one in self._readings[family].values() if one.rung in _FAR]

    def _is_lame(self, family: int) -> bool:
        """Tell whether IPv6 has an address here and has never led anywhere.

        Where it worked before, its end is an observation like any other.
        """
        return family == 6 and family not in self._worked and bool(self._far(family))

    def _judge(self, time: datetime) -> None:
        """Judge both families anew and note what changed."""
        for family, readings in self._readings.items():
            if not readings:
                continue
            state = judge_health(readings.values(), self._flags)
            if state in _NEARBY:
                self._cut_since.setdefault(family, time)
                if family in self._doubted:
                    state = HealthState.DEGRADED
            else:
                self._cut_since.pop(family, None)
                self._doubted.discard(family)
            self._become(family, state, time)

    def _become(self, family: int, state: HealthState, time: datetime) -> None:
        """Be in a state from now on, and note it where it is another one."""
        if state is not self._states.get(family):
            self._states[family] = state
            word = None if state is HealthState.OK else state.value
            self._note(note_of(f"health-v{family}", word, time))


def note_of(name: str, word: str | None, time: datetime) -> Measurement:
    """Return the note that `word` holds from `time` on, or that nothing does any more."""
    return Measurement(
        target=f"{EVENT_PREFIX}{name}",
        probe="agent",
        time=time,
        failure=word,
        scope="" if word is None else FailureScope.LOCAL.value,
        host_responded=word is None,
        seconds=0.0,
    )

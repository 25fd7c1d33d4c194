"""Keeps what the witnesses said last, and relabels what is our own fault.

It never stops a measurement: it labels. A change of state is a note of its own, which
travels and is kept like a measurement and counts for no target.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address

from netwatch.agent.health import Flag, HealthState, Reading, Rung, judge_health, rung_of
from netwatch.agent.thinning import NOTE
from netwatch.model.failure import Scope
from netwatch.model.measurement import Measurement, Target

__all__ = ["Ladder", "family_of"]

_OURS = {HealthState.LAN_DOWN, HealthState.OVERLOADED}
"""States in which a failure says nothing about a target."""
_NO_LINE = {"network_unreachable", "network_down"}
"""Local faults that tell of the line all the same: this machine has no way out."""
_REWRITTEN = {"second_answer", "nxdomain_rewritten"}
_PORTAL = {"http_unexpected_redirect_url", "http_unexpected_status_code"}


def family_of(target: Target) -> int:
    """Return 6 for a target at an IPv6 address, 4 for any other."""
    return _family(target.host)


@lru_cache(maxsize=10_000)
def _family(host: str) -> int:
    try:
        return ip_address(host).version
    except ValueError:
        return 4


class Ladder:
    """The health of a vantage, for IPv4 and IPv6 apart.

    Args:
        witnesses: the targets that are witnesses; others are passed over.
        note: takes a note whenever a state changes.
    """

    def __init__(self, witnesses: Iterable[Target], *, note: Callable[[Measurement], None]) -> None:
        self._rungs = {one.id: rung for one in witnesses if (rung := rung_of(one)) is not None}
        self._note = note
        self._readings: dict[int, dict[str, Reading]] = {4: {}, 6: {}}
        self._flags: set[Flag] = set()
        self._states: dict[int, HealthState] = {}

    @property
    def flags(self) -> frozenset[Flag]:
        """What is known besides the states."""
        return frozenset(self._flags)

    def state(self, family: int = 4) -> HealthState:
        """Return the state for IPv4 or IPv6."""
        return self._states.get(family, HealthState.UNKNOWN)

    def raise_flag(self, flag: Flag, *, up: bool, time: datetime) -> None:
        """Raise or lower a flag that others watch, such as the clock's."""
        if up:
            self._flags.add(flag)
        else:
            self._flags.discard(flag)
        self._judge(time)

    def take(self, measurement: Measurement, target: Target) -> Measurement:
        """Hear a measurement; return it with our own faults labelled as such."""
        rung = self._rungs.get(target.id)
        if rung is not None and (
            measurement.scope != Scope.LOCAL or measurement.failure in _NO_LINE
        ):
            self._hear(measurement, target, rung)
        ours = self.state(family_of(target)) in _OURS
        # An IPv6 failure on a machine where no IPv6 witness answers is the machine's.
        lame = family_of(target) == 6 and self._is_dead(6)
        if measurement.failure is not None and (ours or lame) and not measurement.alive:
            return replace(measurement, scope=Scope.LOCAL.value)
        return measurement

    def _hear(self, measurement: Measurement, target: Target, rung: Rung) -> None:
        """Take down what a witness said."""
        self._readings[family_of(target)][target.id] = Reading(rung, measurement.alive)
        details = {step.detail for step in measurement.observations}
        if rung is Rung.CAPTIVE:
            self._set(Flag.CAPTIVE, up=measurement.failure in _PORTAL)
        elif rung is Rung.NAMES and not details.isdisjoint(_REWRITTEN):
            self._set(Flag.DNS_HIJACKED, up=True)
        elif rung is Rung.NAMES and measurement.failure is None:
            self._set(Flag.DNS_HIJACKED, up=False)
        self._judge(measurement.time)

    def _set(self, flag: Flag, *, up: bool) -> None:
        (self._flags.add if up else self._flags.discard)(flag)

    def _is_dead(self, family: int) -> bool:
        """Tell whether there are witnesses of a family, and none answers."""
        readings = self._readings[family].values()
        return bool(readings) and not any(reading.alive for reading in readings)

    def _judge(self, time: datetime) -> None:
        """Judge both families anew and note what changed."""
        for family, readings in self._readings.items():
            if not readings:
                continue
            state = judge_health(readings.values(), self._flags)
            if state is not self._states.get(family):
                self._states[family] = state
                self._note(_health_note(family, state, time))


def _health_note(family: int, state: HealthState, time: datetime) -> Measurement:
    """Return the note that a state began."""
    return Measurement(
        target=f"{NOTE}health-v{family}",
        probe="agent",
        time=time,
        failure=None if state is HealthState.OK else state.value,
        scope="" if state is HealthState.OK else Scope.LOCAL.value,
        alive=state is HealthState.OK,
        seconds=0.0,
    )

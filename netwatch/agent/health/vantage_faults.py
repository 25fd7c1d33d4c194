"""What makes this machine a bad witness: it is overloaded, or its packets go through a tunnel."""

from collections import deque

from netwatch.agent.health.health import WitnessTier, tier_of
from netwatch.agent.health.health_monitor import family_of
from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.model.measurement import Measurement, Target

_EXHAUSTED = {
    "unknown_failure: emfile",
    "unknown_failure: enfile",
    "no_buffer_space",
}
"""Words for a machine that ran out of something.

Threads for look-ups are not among them: it is a dead resolver that holds them, and a shutdown
that begins with the resolvers must not pass for a machine that is too busy.
"""
_NO_PORT = "address_not_available"
"""Over IPv4 there is no port left; over IPv6 it is what a machine without IPv6 says."""
_LOOK_BACK = 60.0
_ENOUGH = 3
_HELD_UP = 0.2
"""Share of the time in which the event loop stood still, above which timings are worthless."""
_HELD_BACK = 15.0
_FAR, _FARTHER = 0.060, 0.100
_PAIRED = 120.0


class OverloadDetector:
    """Tells when this machine, and not the network, is what fails."""

    def __init__(self, stalls: LoopLagMonitor) -> None:
        self._stalls = stalls
        self._lacks: deque[float] = deque(maxlen=_ENOUGH)

    def hear(self, measurement: Measurement, target: Target, now: float) -> None:
        """Take one measurement as it came; `now` is monotonic time in seconds."""
        word = measurement.failure
        if word in _EXHAUSTED or (word == _NO_PORT and family_of(target) == 4):
            self._lacks.append(now)

    def is_on(self, now: float) -> bool:
        """Tell whether the machine is overloaded, and for a minute after it lacked something."""
        lacking = len(self._lacks) == _ENOUGH and now - self._lacks[0] < _LOOK_BACK
        return lacking or self._stalls.held_up(_HELD_BACK) > _HELD_UP * _HELD_BACK


class VpnDetector:
    """Tells by round trips whether somebody near answers TCP in the place of far hosts.

    An echo request goes all the way; a connection that a proxy or a VPN's own end accepts
    does not. An echo that takes 100 ms longer than connecting to the same far host says so at
    once, one that takes 60 ms longer when it happens twice running.
    """

    def __init__(self) -> None:
        self._heard: dict[str, dict[str, tuple[float, float]]] = {}
        self._before: dict[str, bool] = {}
        self._signs: dict[str, bool] = {}

    @property
    def is_on(self) -> bool:
        """Whether any far host is answered for by somebody near."""
        return any(self._signs.values())

    def hear(self, measurement: Measurement, target: Target, now: float) -> None:
        """Take one measurement; only witnesses abroad that are asked both ways count."""
        step = {"icmp": "icmp", "tcp": "connect"}.get(target.probe)
        if step is None or tier_of(target) is not WitnessTier.INTERNATIONAL:
            return
        for observation in measurement.observations:
            if observation.operation == step and observation.failure is None:
                self._heard.setdefault(target.host, {})[step] = (now, observation.seconds)
        self._compare(target.host)

    def _compare(self, host: str) -> None:
        """Compare the two ways of asking a host, once both are fresh; each answer counts once."""
        heard = self._heard.get(host, {})
        if len(heard) < 2:
            return
        (echo_at, echo), (connect_at, connect) = heard["icmp"], heard["connect"]
        self._heard[host] = {}
        if abs(echo_at - connect_at) > _PAIRED:
            return
        longer = echo - connect
        twice = longer >= _FAR and self._before.get(host, False)
        self._before[host] = longer >= _FAR
        self._signs[host] = longer >= _FARTHER or twice

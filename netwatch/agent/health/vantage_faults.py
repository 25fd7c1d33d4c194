"""Detects what makes this machine a bad vantage: overload, and a VPN or proxy."""

from collections import deque

from netwatch.agent.health.judge_health import WitnessTier, tier_of
from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.model.addresses import address_family
from netwatch.model.measurement import Measurement, Target

_EXHAUSTED = {"unknown_failure: emfile", "unknown_failure: enfile", "no_buffer_space"}
"""Failures of a machine that lacks resources.

Exhausted resolver threads are not among them: a dead resolver blocks them, and a shutdown that
begins with the resolvers must not look like an overloaded machine.
"""
_NO_PORT = "address_not_available"
"""Over IPv4, no port is left; over IPv6, it only means that the machine has no IPv6."""
_MIN_FAILURES, _FAILURE_WINDOW = 3, 60.0
"""Failures for lack of resources within so many seconds that mean overload."""
_BLOCKED_SHARE, _BLOCKED_WINDOW = 0.2, 15.0
"""Share of the last seconds for which a blocked event loop makes timings worthless."""
_FAR, _FARTHER = 0.060, 0.100
"""Seconds by which an echo takes longer than a TCP connect: twice in a row, or once."""
_PAIRED = 120.0
"""Seconds between an echo and a connect that can be compared."""
_ECHO, _CONNECT = "echo", "connect"


class OverloadDetector:
    """Detects that this machine, and not the network, causes failures."""

    def __init__(self, loop_lag: LoopLagMonitor) -> None:
        self._loop_lag = loop_lag
        self._failed_at: deque[float] = deque(maxlen=_MIN_FAILURES)

    def add_measurement(self, measurement: Measurement, target: Target, now: float) -> None:
        """Process a measurement as it was made; `now` is monotonic time in seconds."""
        word = measurement.failure
        if word in _EXHAUSTED or (word == _NO_PORT and address_family(target.host) == 4):
            self._failed_at.append(now)

    def is_overloaded(self, now: float) -> bool:
        """Return whether the machine is overloaded or was within the last minute."""
        full = len(self._failed_at) == _MIN_FAILURES
        if full and now - self._failed_at[0] < _FAILURE_WINDOW:
            return True
        blocked = self._loop_lag.blocked_seconds(_BLOCKED_WINDOW)
        return blocked > _BLOCKED_SHARE * _BLOCKED_WINDOW


class VpnDetector:
    """Detects by round-trip times that something nearby accepts TCP in place of far hosts.

    An ICMP echo goes all the way; a connection that a proxy or VPN endpoint accepts does not. An
    echo that takes 100 ms longer than a connect to the same far host shows that at once; 60 ms must
    occur twice in a row.
    """

    def __init__(self) -> None:
        self._latest: dict[str, dict[str, tuple[float, float]]] = {}
        self._was_longer: dict[str, bool] = {}
        self._detected: dict[str, bool] = {}

    @property
    def is_detected(self) -> bool:
        """Whether something answers in place of any far host."""
        return any(self._detected.values())

    def add_measurement(self, measurement: Measurement, target: Target, now: float) -> None:
        """Process a measurement; only witnesses abroad with both kinds of step count."""
        if tier_of(target) is not WitnessTier.INTERNATIONAL:
            return
        for step in measurement.observations:
            if step.operation in {_ECHO, _CONNECT} and step.failure is None:
                self._latest.setdefault(target.host, {})[step.operation] = (now, step.seconds)
        self._compare(target.host)

    def _compare(self, host: str) -> None:
        latest = self._latest.get(host, {})
        if len(latest) < 2:
            return
        (echo_at, echo), (connect_at, connect) = latest[_ECHO], latest[_CONNECT]
        self._latest[host] = {}
        if abs(echo_at - connect_at) > _PAIRED:
            return
        longer = echo - connect
        twice = longer >= _FAR and self._was_longer.get(host, False)
        self._was_longer[host] = longer >= _FAR
        self._detected[host] = longer >= _FARTHER or twice

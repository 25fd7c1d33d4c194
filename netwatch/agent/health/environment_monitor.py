"""Detects what makes this machine a bad vantage: overload, a VPN or proxy, a dead gateway."""

from collections import deque
from time import monotonic

from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.judge_health import Flag, WitnessTier, tier_of
from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.model.addresses import address_family
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Clock

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
_INTERVAL = 2.0
"""Seconds between checks of this machine itself, which send nothing."""
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


class EnvironmentMonitor:
    """Reports the gateway, VPN and load of this machine to a health monitor.

    Without `gateway` it probes nothing and reads no routes; with it, it probes every `period`
    seconds. Call `update` and `poll_gateway` every `interval` seconds.
    """

    def __init__(
        self,
        health: HealthMonitor,
        loop_lag: LoopLagMonitor,
        *,
        clock: Clock,
        gateway: GatewayMonitor | None,
        period: float,
    ) -> None:
        self.interval = min(_INTERVAL, period)
        self._health, self._clock = health, clock
        self._gateway, self._period = gateway, period
        self._polled_at = float("-inf")
        self._overload = OverloadDetector(loop_lag)
        self._vpn = VpnDetector()

    def add_measurement(self, measurement: Measurement, target: Target) -> None:
        """Process a measurement as it was made."""
        now = monotonic()
        self._overload.add_measurement(measurement, target, now)
        self._vpn.add_measurement(measurement, target, now)

    def update(self) -> None:
        """Set the flags of this machine; sends nothing."""
        now, time = monotonic(), self._clock()
        self._health.set_flag(Flag.OVERLOADED, raised=self._overload.is_overloaded(now), time=time)
        tunnel = self._gateway is not None and bool(self._gateway.tunnel)
        self._health.set_flag(Flag.VPN, raised=tunnel or self._vpn.is_detected, time=time)

    async def poll_gateway(self) -> None:
        """Probe the gateway, once per period."""
        if self._gateway is None or monotonic() - self._polled_at < self._period:
            return
        self._polled_at = monotonic()
        for family, responds in (await self._gateway.poll()).items():
            self._health.set_gateway(family, responds=responds, time=self._clock())

"""What is around a vantage and no target: its gateway, its tunnel, its own strength."""

import asyncio
from collections.abc import Callable
from time import monotonic

from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.health import Flag
from netwatch.agent.health.health_monitor import HealthMonitor
from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.health.vantage_faults import OverloadDetector, VpnDetector
from netwatch.model.measurement import Measurement, Target
from netwatch.protocols import Clock

_OFTEN = 2.0
"""Seconds between looks at this machine itself, which cost nothing."""


class EnvironmentMonitor:
    """Tells the ladder of what no probe sees.

    Args:
        ladder: what is told.
        stalls: says when the event loop stood still.
        clock: the wall clock.
        gateway: asks the default gateway; None asks nobody and looks at no route.
        period: seconds between questions to the gateway.
    """

    def __init__(
        self,
        ladder: HealthMonitor,
        stalls: LoopLagMonitor,
        *,
        clock: Clock,
        gateway: GatewayMonitor | None,
        period: float,
    ) -> None:
        self._ladder, self._clock = ladder, clock
        self._gateway, self._period = gateway, period
        self._overload = OverloadDetector(stalls)
        self._tunnel = VpnDetector()

    def hear(self, measurement: Measurement, target: Target) -> None:
        """Take one measurement as it came."""
        now = monotonic()
        self._overload.hear(measurement, target, now)
        self._tunnel.hear(measurement, target, now)

    async def run(self, paused: Callable[[], bool]) -> None:
        """Look around until cancelled."""
        asked = float("-inf")
        while True:
            self._look()
            if self._gateway is not None and not paused() and monotonic() - asked >= self._period:
                asked = monotonic()
                for family, host_responded in (await self._gateway.ask()).items():
                    self._ladder.hear_gateway(
                        family, host_responded=host_responded, time=self._clock()
                    )
            await asyncio.sleep(min(_OFTEN, self._period))

    def _look(self) -> None:
        """Raise and lower what can be seen from here without asking anybody."""
        time = self._clock()
        self._ladder.raise_flag(Flag.OVERLOADED, up=self._overload.is_on(monotonic()), time=time)
        tunnel = "" if self._gateway is None else self._gateway.tunnel
        self._ladder.raise_flag(Flag.VPN, up=bool(tunnel) or self._tunnel.is_on, time=time)

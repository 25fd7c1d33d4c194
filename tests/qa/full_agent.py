"""A whole agent, with spool and uplink, instead of a measuring loop alone."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import namespaces
from servers import PASSWORD, USERNAME

from netwatch.agent.clock import DisciplinedClock, boot_id
from netwatch.agent.event_rows import EVENT_PREFIX
from netwatch.agent.health.judge_health import HealthState
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.pause import PauseReason
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.config import AgentConfig
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.plugins import load_plugin
from netwatch.protocols import Message, Transport
from netwatch.wire.mqtt import MqttTransport

__all__ = ["PAUSE", "VANTAGE", "AgentSetup", "Report", "run_full_agent"]

PAUSE = "pause"
"""A file of this name in the agent's folder pauses it."""
VANTAGE = Vantage("qa", "XX", 64500)

Report = Callable[[Measurement, dict[int, HealthState], frozenset[str]], None]


@dataclass(frozen=True)
class AgentSetup:
    """The spool and the broker of a whole agent.

    Attributes:
        folder: the folder of its spool.
        broker: address and port.
        tls: whether the broker speaks TLS.
        disk: bytes of a separate file system for the folder; 0 uses this machine's.
    """

    folder: str
    broker: tuple[str, int]
    tls: bool = False
    disk: int = 0

    def connect(self, will: Message | None) -> Transport:
        """Return a transport to the broker."""
        host, port = self.broker
        return MqttTransport(
            host=host, port=port, username=USERNAME, password=PASSWORD, will=will, tls=self.tls
        )


class ReportingSpool(Spool):
    """A spool that reports each row once it is written, with the health by the events so far."""

    report: Report

    def append(self, measurements: Sequence[Measurement]) -> None:
        super().append(measurements)
        for one in measurements:
            self._follow(one)
            self.report(one, dict(self._states), frozenset(self._flags))

    def __init__(self, path: Path, report: Report, *, created_at: datetime) -> None:
        self._states = dict.fromkeys((4, 6), HealthState.UNKNOWN)
        self._flags: set[str] = set()
        self.report = report
        super().__init__(path, vantage=VANTAGE, created_at=created_at)

    def _follow(self, one: Measurement) -> None:
        for family in self._states:
            if one.target == f"{EVENT_PREFIX}health-v{family}":
                self._states[family] = HealthState(one.failure or "ok")
        if one.target.startswith(f"{EVENT_PREFIX}flag-"):
            name = one.target.removeprefix(f"{EVENT_PREFIX}flag-")
            (self._flags.add if one.failure else self._flags.discard)(name)


async def run_full_agent(
    setup: AgentSetup,
    targets: Sequence[Target],
    *,
    report: Report,
    clock: Callable[[], datetime],
    config: AgentConfig,
) -> None:
    """Run an agent until killed."""
    folder = Path(setup.folder)
    if setup.disk:
        namespaces.own_mounts()
        size = f"size={setup.disk}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)  # noqa: ASYNC221 - nothing runs yet

    def pause_reason() -> PauseReason:
        return PauseReason.HOST if (folder / PAUSE).exists() else PauseReason.NONE

    spool = ReportingSpool(folder / "spool.sqlite", report, created_at=clock())
    await run_agent(
        AgentDeps(
            vantage=VANTAGE,
            targets=targets,
            probes={name: load_plugin("probes", name)() for name in {one.probe for one in targets}},
            endpoints=[Endpoint("link", "", setup.connect)],
            spool=spool,
            config=config,
            pause_reason=pause_reason,
            clock=DisciplinedClock(clock, boot=boot_id(VANTAGE.id), kernel=lambda: None),
        )
    )

"""A whole agent, with spool and uplink, in the place of a mere measurer."""

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import namespaces
from servers import PASSWORD, USERNAME

from netwatch.agent.clock import DisciplinedClock, boot_id
from netwatch.agent.events import EVENT_PREFIX
from netwatch.agent.health.health import HealthState
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.pause import PauseReason
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.failover import Endpoint
from netwatch.config import AgentConfig
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.plugins import load_plugin
from netwatch.protocols import Message, Transport
from netwatch.wire.mqtt import MqttTransport

__all__ = ["PAUSE", "VANTAGE", "House", "Tell", "be_whole"]

PAUSE = "pause"
"""A file of this name in the agent's folder holds its measuring."""
VANTAGE = Vantage("qa", "XX", 64500)

Tell = Callable[[Measurement, dict[int, HealthState], frozenset[str]], None]


@dataclass(frozen=True)
class House:
    """Where a whole agent keeps what it measured, and where it sends it.

    Attributes:
        folder: where its spool is.
        broker: address and port.
        tls: whether the broker speaks TLS.
        disk: bytes of a disk of its own that the folder is, 0 for this machine's.
    """

    folder: str
    broker: tuple[str, int]
    tls: bool = False
    disk: int = 0

    def connect(self, will: Message | None) -> Transport:
        """Make a link to the broker."""
        host, port = self.broker
        return MqttTransport(
            host=host, port=port, username=USERNAME, password=PASSWORD, will=will, tls=self.tls
        )


class TellingSpool(Spool):
    """A spool that tells of every row once it is on the disk, with the health as of its notes."""

    tell: Tell

    def append(self, measurements: Sequence[Measurement]) -> None:
        super().append(measurements)
        for one in measurements:
            self._follow(one)
            self.tell(one, dict(self._states), frozenset(self._flags))

    def __init__(self, path: Path, tell: Tell, *, born: datetime) -> None:
        self._states = dict.fromkeys((4, 6), HealthState.UNKNOWN)
        self._flags: set[str] = set()
        self.tell = tell
        super().__init__(path, vantage=VANTAGE, created_at=born)

    def _follow(self, one: Measurement) -> None:
        for family in self._states:
            if one.target == f"{EVENT_PREFIX}health-v{family}":
                self._states[family] = HealthState(one.failure or "ok")
        if one.target.startswith(f"{EVENT_PREFIX}flag-"):
            name = one.target.removeprefix(f"{EVENT_PREFIX}flag-")
            (self._flags.add if one.failure else self._flags.discard)(name)


async def be_whole(
    house: House,
    targets: Sequence[Target],
    *,
    tell: Tell,
    clock: Callable[[], datetime],
    config: AgentConfig,
) -> None:
    """Be an agent until killed."""
    folder = Path(house.folder)
    if house.disk:
        namespaces.own_mounts()
        size = f"size={house.disk}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)  # noqa: ASYNC221 - nothing runs yet

    def pause_reason() -> PauseReason:
        return PauseReason.HOST if (folder / PAUSE).exists() else PauseReason.NONE

    spool = TellingSpool(folder / "spool.sqlite", tell, created_at=clock())
    await run_agent(
        AgentDeps(
            vantage=VANTAGE,
            targets=targets,
            probes={name: load_plugin("probes", name)() for name in {one.probe for one in targets}},
            endpoints=[Endpoint("link", "", house.connect)],
            spool=spool,
            config=config,
            pause_reason=pause_reason,
            clock=DisciplinedClock(clock, boot=boot_id(VANTAGE.id), kernel=lambda: None),
        )
    )

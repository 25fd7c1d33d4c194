"""A vantage in a process of its own, wherever a case wants it: it measures and tells.

Everything that is ours is used as installed: probes by their entry points, and the measure_loop
with its schedule, ladder and confirmation. What a case may change is around it: namespace,
resolver, authority, privileges, the wall clock.
"""

import asyncio
import os
import subprocess
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from time import monotonic

import namespaces
from qa import tricks
from qa.whole import House, Tell, be_whole

from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.health import HealthState
from netwatch.agent.measure import rate_limits
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.config import AgentConfig, Duration
from netwatch.model.addresses import is_loopback
from netwatch.model.measurement import Measurement, Target
from netwatch.plugins import load_plugin

__all__ = ["IT", "Heard", "Job", "live"]

IT = "it"
"""The id of the target that a case is about."""


@dataclass(frozen=True)
class Job:
    """What a vantage is to measure, and where it is.

    Attributes:
        targets: what is asked; one is called `it`.
        timeout: seconds that a probe may take.
        period: seconds between rounds of `it`; witnesses are asked as often.
        namespace: the path of the network namespace it lives in, empty for this one.
        resolver: address of the name server that its system asks, empty for this machine's.
        authority: file of the authority that its system trusts, empty for this machine's.
        trick: the name of what else is done to it; see `qa.tricks`.
        house: where a whole agent keeps and sends; None for one that only measures.
    """

    targets: tuple[Target, ...]
    timeout: float = 1.0
    period: float = 0.5
    namespace: str = ""
    resolver: str = ""
    authority: str = ""
    trick: str = ""
    house: House | None = None

    def at(self, **changes: object) -> "Job":
        """Return it with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Heard:
    """What a vantage told: a measurement, and the health as it was right after it."""

    measurement: Measurement
    states: dict[int, HealthState] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()


def live(job: Job, pipe: Connection) -> None:
    """Be the vantage, and tell what is measured, until killed."""
    if job.namespace:
        namespaces.enter(job.namespace)
    if job.resolver:
        namespaces.own_mounts()
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as lines:
            lines.write(f"nameserver {job.resolver}\noptions timeout:1 attempts:1\n")
            lines.flush()
            subprocess.run(["mount", "--bind", lines.name, "/etc/resolv.conf"], check=True)
    if job.authority:
        os.environ["SSL_CERT_FILE"] = job.authority
    # In a lab nobody is disturbed, and no configuration can lower these.
    rate_limits._ADDRESS_SPACING = 0.0
    rate_limits._RATE, rate_limits._BURST = 1e3, 1e3
    trick = tricks.TRICKS[job.trick] if job.trick else tricks.Trick()

    def tell(*told: object) -> None:
        try:
            pipe.send(Heard(*told))  # type: ignore[arg-type]
        except BrokenPipeError:
            os._exit(1)  # Whoever watched is gone.

    asyncio.run(_be(job, trick, tell))


async def _be(job: Job, trick: tricks.Trick, tell: Tell) -> None:
    """Be what the job asks for, until killed."""
    started = monotonic()

    def clock() -> datetime:
        return datetime.now(UTC) + trick.shift(monotonic() - started)

    config = AgentConfig(
        period=Duration(seconds=job.period),
        witness_period=Duration(seconds=job.period),
        timeout=Duration(seconds=job.timeout),
        flush_interval=Duration(seconds=0.5),
        budget="full",
    )
    if job.house is not None:
        trick.before()
        await be_whole(job.house, job.targets, tell=tell, clock=clock, config=config)
    probes = {name: load_plugin("probes", name)() for name in {one.probe for one in job.targets}}
    # As the agent does: where nothing is asked outside this machine there is no line to know.
    outside = not all(is_loopback(target.host) for target in job.targets)
    gateway = GatewayMonitor() if outside else None
    trick.before()
    measure_loop = MeasureLoop(
        "qa", job.targets, probes=probes, clock=clock, config=config, gateway=gateway
    )

    def take(measurement: Measurement) -> None:
        health = measure_loop.health
        states = {family: health.state(family) for family in (4, 6)}
        tell(measurement, states, frozenset(str(flag) for flag in health.flags))

    async with asyncio.TaskGroup() as group:
        group.create_task(measure_loop.run(take))
        group.create_task(trick.during(measure_loop))

"""A vantage in its own process, which measures and reports.

It uses the installed probes and the agent's measuring loop. A case may change what is around it:
network namespace, resolver, TLS authority, privileges and the wall clock.
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
from qa import host_faults
from qa.full_agent import AgentSetup, Report, run_full_agent

from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.health.judge_health import HealthState
from netwatch.agent.measure import rate_limits
from netwatch.agent.measure.measure_loop import MeasureLoop
from netwatch.config import AgentConfig, Duration
from netwatch.model.addresses import is_loopback
from netwatch.model.measurement import Measurement, Target
from netwatch.plugins import load_plugin

__all__ = ["SUBJECT", "Job", "VantageReport", "run_vantage"]

SUBJECT = "subject"
"""The id of the target that a case is about."""


@dataclass(frozen=True)
class Job:
    """What a vantage measures, and where it runs.

    Attributes:
        targets: what is probed; `SUBJECT` is one of them.
        timeout: seconds that a probe may take.
        period: seconds between rounds, of witnesses too.
        namespace: path of its network namespace, empty for this one.
        resolver: address of its system's name server, empty for this machine's.
        authority: file of the authority that it trusts, empty for this machine's.
        host_fault: name of a fault in `qa.host_faults`.
        setup: spool and broker of a whole agent; None for a measuring loop alone.
    """

    targets: tuple[Target, ...]
    timeout: float = 1.0
    period: float = 0.5
    namespace: str = ""
    resolver: str = ""
    authority: str = ""
    host_fault: str = ""
    setup: AgentSetup | None = None

    def at(self, **changes: object) -> "Job":
        """Return a copy with other values."""
        return replace(self, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class VantageReport:
    """A measurement, and the health right after it."""

    measurement: Measurement
    states: dict[int, HealthState] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()


def run_vantage(job: Job, pipe: Connection) -> None:
    """Run the vantage and send reports through `pipe`, until killed."""
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
    # No other machine is disturbed here, and no configuration can change these.
    rate_limits._ADDRESS_SPACING = 0.0
    rate_limits._RATE, rate_limits._BURST = 1e3, 1e3
    host_fault = host_faults.HOST_FAULTS.get(job.host_fault, host_faults.HostFault())

    def report(*values: object) -> None:
        try:
            pipe.send(VantageReport(*values))  # type: ignore[arg-type]
        except BrokenPipeError:
            os._exit(1)  # The test has ended.

    asyncio.run(_run(job, host_fault, report))


async def _run(job: Job, host_fault: host_faults.HostFault, report: Report) -> None:
    """Run the job until killed."""
    started = monotonic()

    def clock() -> datetime:
        return datetime.now(UTC) + host_fault.clock_offset(monotonic() - started)

    config = AgentConfig(
        period=Duration(seconds=job.period),
        witness_period=Duration(seconds=job.period),
        timeout=Duration(seconds=job.timeout),
        flush_interval=Duration(seconds=0.5),
        budget="full",
    )
    if job.setup is not None:
        host_fault.before()
        await run_full_agent(job.setup, job.targets, report=report, clock=clock, config=config)
    probes = {name: load_plugin("probes", name)() for name in {one.probe for one in job.targets}}
    # As in the agent: without targets outside this machine no gateway is probed.
    outside = not all(is_loopback(target.host) for target in job.targets)
    gateway = GatewayMonitor() if outside else None
    host_fault.before()
    measure_loop = MeasureLoop(
        "qa", job.targets, probes=probes, clock=clock, config=config, gateway=gateway
    )

    def record(measurement: Measurement) -> None:
        health = measure_loop.health
        states = {family: health.state(family) for family in (4, 6)}
        report(measurement, states, frozenset(str(flag) for flag in health.flags))

    async with asyncio.TaskGroup() as group:
        group.create_task(measure_loop.run(record))
        group.create_task(host_fault.during(measure_loop))

"""Checks everything that an agent needs, and says how to fix what fails."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from netwatch.agent.clock import read_kernel_clock
from netwatch.agent.consent import Consent, needs_consent
from netwatch.agent.doctor_network import (
    CheckResult,
    RunProbe,
    check_gateway,
    check_line,
    failed,
    passed,
)
from netwatch.agent.health.gateway import GatewayMonitor, has_route
from netwatch.agent.identity import load_or_create_identity
from netwatch.agent.spool.spool import SpoolState
from netwatch.agent.target_list import TargetList
from netwatch.agent.uplink.failover import Endpoint
from netwatch.model.errors import NetwatchError, TransportError
from netwatch.model.measurement import Target
from netwatch.protocols import Probe
from netwatch.storage.private_files import FOLDER_MODE, is_accessible_to_others

_MIN_FREE_BYTES = 200 * 1024 * 1024
"""Free disk below which the agent may soon have to downsample."""
_FULL = 0.9
"""Share of its limit from which the spool counts as full."""
_RELEASE_YEAR = 2026
"""A clock that shows an earlier year is wrong."""


_IPV6_ADDRESS = "2001:db8::1"
"""An address that no host has (RFC 3849); its route is that to the IPv6 Internet."""


@dataclass(frozen=True, slots=True)
class DoctorContext:
    """The vantage that is checked.

    Attributes:
        run_probe: runs a probe; None skips the witnesses.
        gateway: checks the default gateway; None skips it.
        spool: the spool's state, None if it cannot be opened.
        target_list: the observatory's target list, None without one.
        rejection: why a newer list was refused, empty if none was.
        endpoints: where the observatory can be reached.
    """

    folder: Path
    vantage: str
    targets: Sequence[Target]
    consent: Consent
    endpoints: Sequence[Endpoint]
    now: datetime
    probes: Mapping[str, Probe] = field(default_factory=dict)
    run_probe: RunProbe | None = None
    gateway: GatewayMonitor | None = None
    spool: SpoolState | None = None
    target_list: TargetList | None = None
    rejection: str = ""


async def run_checks(context: DoctorContext) -> list[CheckResult]:
    """Run every check; nothing is raised, and nothing visible from outside runs without consent."""
    results = await asyncio.to_thread(_check_machine, context)
    is_visible = any(needs_consent(target) for target in context.targets)
    if is_visible and context.consent.granted_at() is None:
        text = "not checked without consent"
        return [*results, passed("line", text), passed("broker", text)]
    if is_visible and context.gateway is not None:
        results.append(await check_gateway(context.gateway))
    if context.run_probe is not None:
        results += await check_line(context.targets, context.run_probe)
    return [*results, *await _check_endpoints(context.endpoints)]


def _check_machine(context: DoctorContext) -> list[CheckResult]:
    return [
        _check_consent(context),
        _check_folder(context.folder),
        _check_spool(context.spool),
        _check_key(context.folder / f"agent-{context.vantage}.key"),
        _check_clock(context.now),
        _check_list(context),
        _check_probes(context.probes),
        _check_ipv6(),
    ]


def _check_consent(context: DoctorContext) -> CheckResult:
    if not any(needs_consent(target) for target in context.targets):
        return passed("consent", "not needed: only this machine is probed")
    granted = context.consent.granted_at()
    if granted is None:
        return failed("consent", "not given", "run: netwatch agent consent grant")
    paused = context.consent.paused_until(context.now)
    if paused is not None:
        text = f"paused until {paused:%Y-%m-%d %H:%M} UTC"
        return failed("consent", text, "run: netwatch agent pause 0s")
    return passed("consent", f"given on {granted:%Y-%m-%d}")


def _check_folder(folder: Path) -> CheckResult:
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        trial = folder / ".trial"
        trial.write_bytes(b"")
        trial.unlink()
        free, is_open = shutil.disk_usage(folder).free, is_accessible_to_others(folder)
    except OSError as error:
        fix = f"let this user write to {folder}, or set `data` to another folder"
        return failed("disk", f"{folder}: {error.strerror}", fix)
    if is_open:
        return failed("disk", f"other users can access {folder}", f"run: chmod 700 {folder}")
    text = f"{free // 2**20} MiB free in {folder}"
    if free < _MIN_FREE_BYTES:
        return failed("disk", text, "free some space, or lower `agent.spool_bytes`")
    return passed("disk", text)


def _check_key(path: Path) -> CheckResult:
    try:
        identity = load_or_create_identity(path)
    except NetwatchError as error:
        return failed("key", str(error), "see the line above")
    return passed("key", f"{identity.id} in {path}")


def _check_spool(spool: SpoolState | None) -> CheckResult:
    if spool is None:
        fix = "stop the process that locks it, or see `disk`; a damaged spool is replaced"
        return failed("spool", "cannot be opened", fix)
    share = spool.used_bytes / spool.limit_bytes
    text = f"{share:.0%} of {spool.limit_bytes // 2**20} MiB; {spool.pending} batches pending"
    if share >= _FULL:
        fix = "raise `agent.spool_bytes`, or export it: netwatch agent export FILE"
        return failed("spool", text, fix)
    if spool.refused:
        text = f"{spool.refused} batches refused"
        return failed("spool", text, "ask the observatory why; the batches stay in the spool")
    return passed("spool", text)


def _check_clock(now: datetime) -> CheckResult:
    if now.year < _RELEASE_YEAR:
        return failed("clock", f"shows {now:%Y-%m-%d}", "set it: timedatectl set-ntp true")
    kernel = read_kernel_clock()
    if kernel is None:
        return passed("clock", "synchronisation unknown")
    if kernel.synced:
        return passed("clock", "synchronised")
    # The collector's acknowledgements correct the times, so this is not a failure.
    return passed("clock", "not synchronised", "for better times: timedatectl set-ntp true")


def _check_list(context: DoctorContext) -> CheckResult:
    listed = context.target_list
    if listed is None:
        return passed("list", "none; the configuration's targets are used")
    text = f"version {listed.version}, valid until {listed.expires:%Y-%m-%d}"
    if context.rejection:
        fix = "ask the observatory; the previous list stays in use"
        return failed("list", f"refused: {context.rejection}", fix)
    if listed.expires <= context.now:
        fix = "let the agent reach its observatory, or ask it for a new list; this one is used"
        return failed("list", f"{text}: expired", fix)
    return passed("list", text)


def _check_probes(probes: Mapping[str, Probe]) -> CheckResult:
    for name, probe in sorted(probes.items()):
        missing = probe.missing_requirement()
        if missing is not None:
            return failed("probes", f"{name} targets do not count: {missing.text}", missing.fix)
    return passed("probes", ", ".join(sorted(probes)) or "none needed")


def _check_ipv6() -> CheckResult:
    if has_route(_IPV6_ADDRESS):
        return passed("ipv6", "has a route")
    return passed("ipv6", "no route; IPv6 targets do not count")


async def _check_endpoints(endpoints: Sequence[Endpoint]) -> list[CheckResult]:
    """Connect to each; one that responds is enough."""
    is_only = len(endpoints) == 1
    section = "[broker]" if is_only else "[[uplink]]"
    results: list[CheckResult] = []
    for endpoint in endpoints:
        name = "broker" if is_only else endpoint.transport
        try:
            async with endpoint.make_transport(None):
                results.append(passed(name, "connected"))
        except TransportError as error:
            fix = f"check {section} in the configuration; measuring continues"
            results.append(failed(name, str(error), fix))
    if any(result.ok for result in results):
        return [replace(result, ok=True, fix="") for result in results]
    return results

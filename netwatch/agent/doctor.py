"""Looks for what keeps an agent from working, and says how to mend it."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

from netwatch.agent.check_result import CheckResult
from netwatch.agent.clock import read_kernel_clock
from netwatch.agent.consent import Consent, needs_consent
from netwatch.agent.doctor_network import RunProbe, check_gateway, check_line
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.identity import load_or_create_identity
from netwatch.agent.private_files import FOLDER_MODE, is_accessible_to_others
from netwatch.agent.spool.spool import SpoolState
from netwatch.agent.target_list import TargetList
from netwatch.agent.uplink.failover import Endpoint
from netwatch.model.errors import NetwatchError, TransportError
from netwatch.model.measurement import Target
from netwatch.protocols import Probe, Transport

_LEAST_FREE = 200 * 1024 * 1024
_FULL = 0.9
_EARLIEST = 2026
"""The year in which this was written: a clock that shows an earlier one is wrong."""


@dataclass(frozen=True, slots=True)
class DoctorContext:
    """What is examined.

    Attributes:
        folder: where spool, key and consent are.
        vantage: the agent's id.
        targets: what it is to probe.
        consent: what was agreed to.
        connect: makes a link to the broker.
        endpoints: all ways to the observatory, best rungs first, where there are several.
        now: the present.
        probes: the probes that its targets ask for, by name.
        measure: runs a probe; None leaves the line alone.
        gateway: asks the default gateway.
        spool: how full the spool is, None where it cannot be opened.
        target_list: the observatory's target list, None where there is none.
        rejection: why a newer list was refused, empty where none was.
    """

    folder: Path
    vantage: str
    targets: Sequence[Target]
    consent: Consent
    connect: Callable[[], Transport]
    now: datetime
    probes: Mapping[str, Probe] = field(default_factory=dict)
    measure: RunProbe | None = None
    gateway: GatewayMonitor | None = None
    spool: SpoolState | None = None
    target_list: TargetList | None = None
    rejection: str = ""
    endpoints: Sequence[Endpoint] = ()


async def run_checks(context: DoctorContext) -> list[CheckResult]:
    """Look at everything; nothing that is found raises.

    What can be seen from outside happens only where that was agreed to.
    """
    quick = await asyncio.to_thread(_examine_machine, context)
    line = await _examine_line(context)
    if _must_hold_still(context):
        text = "not looked at: nobody has agreed to it"
        return [*quick, *line, CheckResult("broker", ok=True, text=text)]
    if len(context.endpoints) > 1:
        return [*quick, *line, *await _examine_ways(context.endpoints)]
    return [*quick, *line, await _examine_broker(context.connect)]


def _examine_machine(context: DoctorContext) -> list[CheckResult]:
    """Look at what needs no network."""
    return [
        _examine_consent(context),
        _examine_folder(context.folder),
        _examine_spool(context.spool),
        _examine_key(context.folder / f"agent-{context.vantage}.key"),
        _examine_clock(context.now),
        _examine_list(context),
        _examine_probes(context.probes),
        _examine_ipv6(),
    ]


async def _examine_line(context: DoctorContext) -> list[CheckResult]:
    """Look at gateway and witnesses, where somebody has agreed to be seen doing so."""
    outside = any(needs_consent(target) for target in context.targets)
    if _must_hold_still(context):
        text = "not looked at: nobody has agreed to probing yet"
        return [CheckResult("line", ok=True, text=text)]
    findings: list[CheckResult] = []
    if outside and context.gateway is not None:
        findings.append(await check_gateway(context.gateway))
    if context.measure is not None:
        findings += await check_line(context.targets, context.measure)
    return findings


def _must_hold_still(context: DoctorContext) -> bool:
    """Tell whether something can be seen from outside and nobody has agreed to it."""
    outside = any(needs_consent(target) for target in context.targets)
    return outside and context.consent.granted_at() is None


def _examine_consent(context: DoctorContext) -> CheckResult:
    if not any(needs_consent(target) for target in context.targets):
        return CheckResult("consent", ok=True, text="nothing outside this machine is probed")
    granted = context.consent.granted_at()
    if granted is None:
        text, fix = "not given", "run: netwatch agent consent grant"
        return CheckResult("consent", ok=False, text=text, fix=fix)
    paused = context.consent.paused_until(context.now)
    if paused is not None:
        text, fix = f"paused until {paused:%Y-%m-%d %H:%M} UTC", "run: netwatch agent pause 0s"
        return CheckResult("consent", ok=False, text=text, fix=fix)
    return CheckResult("consent", ok=True, text=f"given on {granted:%Y-%m-%d}")


def _examine_folder(folder: Path) -> CheckResult:
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        trial = folder / ".trial"
        trial.write_bytes(b"")
        trial.unlink()
        free, is_open = shutil.disk_usage(folder).free, is_accessible_to_others(folder)
    except OSError as error:
        fix = f"let this user write to {folder}, or set `data` to another folder"
        return CheckResult("disk", ok=False, text=f"{folder}: {error.strerror}", fix=fix)
    if is_open:
        text, fix = f"others on this machine may look into {folder}", f"run: chmod 700 {folder}"
        return CheckResult("disk", ok=False, text=text, fix=fix)
    text = f"{free // 2**20} MiB free in {folder}"
    fix = "" if free >= _LEAST_FREE else "make room, or set `agent.spool_bytes` lower"
    return CheckResult("disk", ok=not fix, text=text, fix=fix)


def _examine_key(path: Path) -> CheckResult:
    try:
        identity = load_or_create_identity(path)
    except NetwatchError as error:
        return CheckResult("key", ok=False, text=str(error), fix="see the line above")
    return CheckResult("key", ok=True, text=f"{identity.id} in {path}")


def _examine_spool(spool: SpoolState | None) -> CheckResult:
    if spool is None:
        fix = "stop what holds its file, or see `disk`; a damaged one is set aside by itself"
        return CheckResult("spool", ok=False, text="cannot be opened", fix=fix)
    share = spool.used_bytes / spool.limit_bytes
    text = f"{share:.0%} of {spool.limit_bytes // 2**20} MiB; {spool.pending} batches wait"
    if share >= _FULL:
        fix = "raise `agent.spool_bytes`, or carry it away: netwatch agent export FILE"
        return CheckResult("spool", ok=False, text=text, fix=fix)
    if spool.refused:
        fix = "ask the observatory: it would not take them, and they are kept"
        return CheckResult("spool", ok=False, text=f"{spool.refused} batches refused", fix=fix)
    return CheckResult("spool", ok=True, text=text)


def _examine_clock(now: datetime) -> CheckResult:
    if now.year < _EARLIEST:
        fix = "set it: timedatectl set-ntp true"
        return CheckResult("clock", ok=False, text=f"it shows {now:%Y-%m-%d}", fix=fix)
    kernel = read_kernel_clock()
    if kernel is None or kernel.synced:
        return CheckResult("clock", ok=True, text="kept right" if kernel else "not told")
    # Times are put right by the collector's answers, so this alone makes nobody ill.
    fix = "for better times: timedatectl set-ntp true"
    return CheckResult("clock", ok=True, text="nobody keeps it right", fix=fix)


def _examine_list(context: DoctorContext) -> CheckResult:
    """Look at how old the observatory's list is; an old one is used all the same."""
    target_list = context.target_list
    if target_list is None:
        return CheckResult("list", ok=True, text="none; the configuration's targets are used")
    text = f"version {target_list.version}, good until {target_list.expires:%Y-%m-%d}"
    if context.rejection:
        fix = "ask the observatory; the list before it stays in use"
        return CheckResult("list", ok=False, text=f"refused: {context.rejection}", fix=fix)
    if target_list.expires <= context.now:
        fix = "let the agent reach its observatory, or ask it for a new list; this one stays"
        return CheckResult("list", ok=False, text=f"{text}: it is old", fix=fix)
    return CheckResult("list", ok=True, text=text)


def _examine_probes(probes: Mapping[str, Probe]) -> CheckResult:
    """Look for probes that targets ask for and this machine cannot run."""
    for name, probe in sorted(probes.items()):
        missing = probe.missing_requirement()
        if missing is not None:
            text = f"{name} targets do not count: {missing.text}"
            return CheckResult("probes", ok=False, text=text, fix=missing.fix)
    return CheckResult("probes", ok=True, text=", ".join(sorted(probes)) or "none asked for")


def _examine_ipv6() -> CheckResult:
    """Look whether a route leads to the IPv6 Internet; connecting UDP sends nothing."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trial:
            trial.connect(("2001:db8::1", 9))
    except OSError:
        return CheckResult("ipv6", ok=True, text="none; IPv6 targets do not count")
    return CheckResult("ipv6", ok=True, text="there is a route")


async def _examine_ways(endpoints: Sequence[Endpoint]) -> list[CheckResult]:
    """Look at the ladder rung by rung; one way that works is enough to be well."""
    tried = [(way, await _examine_broker(partial(way.make_transport, None))) for way in endpoints]
    works = any(found.ok for _, found in tried)
    fix = "" if works else "look at [[uplink]] in the configuration; measuring goes on without"
    return [
        CheckResult(way.transport, ok=works, text=found.text, fix="" if found.ok else fix)
        for way, found in tried
    ]


async def _examine_broker(connect: Callable[[], Transport]) -> CheckResult:
    try:
        async with connect():
            return CheckResult("broker", ok=True, text="connected")
    except TransportError as error:
        fix = "look at [broker] in the configuration; measuring goes on without"
        return CheckResult("broker", ok=False, text=str(error), fix=fix)

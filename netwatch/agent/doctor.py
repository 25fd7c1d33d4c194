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
from netwatch.agent.doctor_network import Measure, examine_gateway, examine_line
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.identity import read_or_make_identity
from netwatch.agent.private_files import FOLDER_MODE, is_open_to_others
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
        ways: all ways to the observatory, best rungs first, where there are several.
        now: the present.
        probes: the probes that its targets ask for, by name.
        measure: runs a probe; None leaves the line alone.
        gateway: asks the default gateway.
        spool: how full the spool is, None where it cannot be opened.
        listed: the observatory's target list, None where there is none.
        refused: why a newer list was refused, empty where none was.
    """

    folder: Path
    vantage: str
    targets: Sequence[Target]
    consent: Consent
    connect: Callable[[], Transport]
    now: datetime
    probes: Mapping[str, Probe] = field(default_factory=dict)
    measure: Measure | None = None
    gateway: GatewayMonitor | None = None
    spool: SpoolState | None = None
    listed: TargetList | None = None
    refused: str = ""
    ways: Sequence[Endpoint] = ()


async def examine(patient: DoctorContext) -> list[CheckResult]:
    """Look at everything; nothing that is found raises.

    What can be seen from outside happens only where that was agreed to.
    """
    quick = await asyncio.to_thread(_examine_machine, patient)
    line = await _examine_line(patient)
    if _must_hold_still(patient):
        text = "not looked at: nobody has agreed to it"
        return [*quick, *line, CheckResult("broker", well=True, text=text)]
    if len(patient.ways) > 1:
        return [*quick, *line, *await _examine_ways(patient.ways)]
    return [*quick, *line, await _examine_broker(patient.connect)]


def _examine_machine(patient: DoctorContext) -> list[CheckResult]:
    """Look at what needs no network."""
    return [
        _examine_consent(patient),
        _examine_folder(patient.folder),
        _examine_spool(patient.spool),
        _examine_key(patient.folder / f"agent-{patient.vantage}.key"),
        _examine_clock(patient.now),
        _examine_list(patient),
        _examine_probes(patient.probes),
        _examine_ipv6(),
    ]


async def _examine_line(patient: DoctorContext) -> list[CheckResult]:
    """Look at gateway and witnesses, where somebody has agreed to be seen doing so."""
    outside = any(needs_consent(target) for target in patient.targets)
    if _must_hold_still(patient):
        text = "not looked at: nobody has agreed to probing yet"
        return [CheckResult("line", well=True, text=text)]
    findings: list[CheckResult] = []
    if outside and patient.gateway is not None:
        findings.append(await examine_gateway(patient.gateway))
    if patient.measure is not None:
        findings += await examine_line(patient.targets, patient.measure)
    return findings


def _must_hold_still(patient: DoctorContext) -> bool:
    """Tell whether something can be seen from outside and nobody has agreed to it."""
    outside = any(needs_consent(target) for target in patient.targets)
    return outside and patient.consent.granted_at() is None


def _examine_consent(patient: DoctorContext) -> CheckResult:
    if not any(needs_consent(target) for target in patient.targets):
        return CheckResult("consent", well=True, text="nothing outside this machine is probed")
    granted = patient.consent.granted_at()
    if granted is None:
        text, mend = "not given", "run: netwatch agent consent grant"
        return CheckResult("consent", well=False, text=text, mend=mend)
    paused = patient.consent.paused_until(patient.now)
    if paused is not None:
        text, mend = f"paused until {paused:%Y-%m-%d %H:%M} UTC", "run: netwatch agent pause 0s"
        return CheckResult("consent", well=False, text=text, mend=mend)
    return CheckResult("consent", well=True, text=f"given on {granted:%Y-%m-%d}")


def _examine_folder(folder: Path) -> CheckResult:
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        trial = folder / ".trial"
        trial.write_bytes(b"")
        trial.unlink()
        free, is_open = shutil.disk_usage(folder).free, is_open_to_others(folder)
    except OSError as error:
        mend = f"let this user write to {folder}, or set `data` to another folder"
        return CheckResult("disk", well=False, text=f"{folder}: {error.strerror}", mend=mend)
    if is_open:
        text, mend = f"others on this machine may look into {folder}", f"run: chmod 700 {folder}"
        return CheckResult("disk", well=False, text=text, mend=mend)
    text = f"{free // 2**20} MiB free in {folder}"
    mend = "" if free >= _LEAST_FREE else "make room, or set `agent.spool_bytes` lower"
    return CheckResult("disk", well=not mend, text=text, mend=mend)


def _examine_key(path: Path) -> CheckResult:
    try:
        identity = read_or_make_identity(path)
    except NetwatchError as error:
        return CheckResult("key", well=False, text=str(error), mend="see the line above")
    return CheckResult("key", well=True, text=f"{identity.id} in {path}")


def _examine_spool(spool: SpoolState | None) -> CheckResult:
    if spool is None:
        mend = "stop what holds its file, or see `disk`; a damaged one is set aside by itself"
        return CheckResult("spool", well=False, text="cannot be opened", mend=mend)
    share = spool.used_bytes / spool.limit_bytes
    text = f"{share:.0%} of {spool.limit_bytes // 2**20} MiB; {spool.waiting} batches wait"
    if share >= _FULL:
        mend = "raise `agent.spool_bytes`, or carry it away: netwatch agent export FILE"
        return CheckResult("spool", well=False, text=text, mend=mend)
    if spool.refused:
        mend = "ask the observatory: it would not take them, and they are kept"
        return CheckResult("spool", well=False, text=f"{spool.refused} batches refused", mend=mend)
    return CheckResult("spool", well=True, text=text)


def _examine_clock(now: datetime) -> CheckResult:
    if now.year < _EARLIEST:
        mend = "set it: timedatectl set-ntp true"
        return CheckResult("clock", well=False, text=f"it shows {now:%Y-%m-%d}", mend=mend)
    kernel = read_kernel_clock()
    if kernel is None or kernel.synced:
        return CheckResult("clock", well=True, text="kept right" if kernel else "not told")
    # Times are put right by the collector's answers, so this alone makes nobody ill.
    mend = "for better times: timedatectl set-ntp true"
    return CheckResult("clock", well=True, text="nobody keeps it right", mend=mend)


def _examine_list(patient: DoctorContext) -> CheckResult:
    """Look at how old the observatory's list is; an old one is used all the same."""
    listed = patient.listed
    if listed is None:
        return CheckResult("list", well=True, text="none; the configuration's targets are used")
    text = f"version {listed.version}, good until {listed.expires:%Y-%m-%d}"
    if patient.refused:
        mend = "ask the observatory; the list before it stays in use"
        return CheckResult("list", well=False, text=f"refused: {patient.refused}", mend=mend)
    if listed.expires <= patient.now:
        mend = "let the agent reach its observatory, or ask it for a new list; this one stays"
        return CheckResult("list", well=False, text=f"{text}: it is old", mend=mend)
    return CheckResult("list", well=True, text=text)


def _examine_probes(probes: Mapping[str, Probe]) -> CheckResult:
    """Look for probes that targets ask for and this machine cannot run."""
    for name, probe in sorted(probes.items()):
        missing = probe.missing_requirement()
        if missing is not None:
            text = f"{name} targets do not count: {missing.text}"
            return CheckResult("probes", well=False, text=text, mend=missing.fix)
    return CheckResult("probes", well=True, text=", ".join(sorted(probes)) or "none asked for")


def _examine_ipv6() -> CheckResult:
    """Look whether a route leads to the IPv6 Internet; connecting UDP sends nothing."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trial:
            trial.connect(("2001:db8::1", 9))
    except OSError:
        return CheckResult("ipv6", well=True, text="none; IPv6 targets do not count")
    return CheckResult("ipv6", well=True, text="there is a route")


async def _examine_ways(ways: Sequence[Endpoint]) -> list[CheckResult]:
    """Look at the ladder rung by rung; one way that works is enough to be well."""
    tried = [(way, await _examine_broker(partial(way.connect, None))) for way in ways]
    works = any(found.well for _, found in tried)
    mend = "" if works else "look at [[uplink]] in the configuration; measuring goes on without"
    return [
        CheckResult(way.rung, well=works, text=found.text, mend="" if found.well else mend)
        for way, found in tried
    ]


async def _examine_broker(connect: Callable[[], Transport]) -> CheckResult:
    try:
        async with connect():
            return CheckResult("broker", well=True, text="connected")
    except TransportError as error:
        mend = "look at [broker] in the configuration; measuring goes on without"
        return CheckResult("broker", well=False, text=str(error), mend=mend)

"""Looks for what keeps an agent from working, and says how to mend it."""

import asyncio
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from netwatch.agent.consent import Consent, needs_consent
from netwatch.agent.identity import read_or_make_identity
from netwatch.model.errors import LinkError, NetwatchError
from netwatch.model.measurement import Target
from netwatch.protocols import Link

__all__ = ["Finding", "Patient", "default_gateway", "examine"]

_LEAST_FREE = 200 * 1024 * 1024
_ROUTES = Path("/proc/net/route")
_TUNNELS = ("tun", "tap", "wg", "ppp", "utun")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `mend` says what to do where it is not well."""

    name: str
    well: bool
    text: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined.

    Attributes:
        folder: where spool, key and consent are.
        vantage: the agent's id.
        targets: what it is to probe.
        consent: what was agreed to.
        connect: makes a link to the broker.
        now: the present.
    """

    folder: Path
    vantage: str
    targets: Sequence[Target]
    consent: Consent
    connect: Callable[[], Link]
    now: datetime


async def examine(patient: Patient) -> list[Finding]:
    """Look at everything; nothing that is found raises."""
    quick = await asyncio.to_thread(_examine_machine, patient)
    return [*quick, await _examine_broker(patient.connect)]


def default_gateway(routes: Path = _ROUTES) -> tuple[str, str] | None:
    """Return interface and address of the default IPv4 route, None where there is none."""
    try:
        lines = routes.read_text("ascii").splitlines()[1:]
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if len(fields) > 3 and fields[1] == "00000000" and int(fields[3], 16) & 2:
            # The kernel prints the address as one number in the machine's own byte order.
            return fields[0], socket.inet_ntoa(bytes.fromhex(fields[2])[::-1])
    return None


def _examine_machine(patient: Patient) -> list[Finding]:
    """Look at what needs no network."""
    return [
        _examine_consent(patient),
        _examine_folder(patient.folder),
        _examine_key(patient.folder / f"agent-{patient.vantage}.key"),
        _examine_route(),
        _examine_ipv6(),
        _examine_icmp(),
    ]


def _examine_consent(patient: Patient) -> Finding:
    if not any(needs_consent(target) for target in patient.targets):
        return Finding("consent", well=True, text="nothing outside this machine is probed")
    granted = patient.consent.granted_at()
    if granted is None:
        text, mend = "not given", "run: netwatch agent consent grant"
        return Finding("consent", well=False, text=text, mend=mend)
    paused = patient.consent.paused_until(patient.now)
    if paused is not None:
        text, mend = f"paused until {paused:%Y-%m-%d %H:%M} UTC", "run: netwatch agent pause 0s"
        return Finding("consent", well=False, text=text, mend=mend)
    return Finding("consent", well=True, text=f"given on {granted:%Y-%m-%d}")


def _examine_folder(folder: Path) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial = folder / ".trial"
        trial.write_bytes(b"")
        trial.unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        mend = f"let this user write to {folder}, or set `data` to another folder"
        return Finding("disk", well=False, text=f"{folder}: {error.strerror}", mend=mend)
    text = f"{free // 2**20} MiB free in {folder}"
    mend = "" if free >= _LEAST_FREE else "make room, or set `agent.spool_bytes` lower"
    return Finding("disk", well=not mend, text=text, mend=mend)


def _examine_key(path: Path) -> Finding:
    try:
        identity = read_or_make_identity(path)
    except NetwatchError as error:
        return Finding("key", well=False, text=str(error), mend="see the line above")
    return Finding("key", well=True, text=f"{identity.id} in {path}")


def _examine_route() -> Finding:
    found = default_gateway()
    if found is None:
        mend = "plug in the cable, or join a network"
        return Finding("gateway", well=False, text="no default route", mend=mend)
    interface, _ = found
    if interface.startswith(_TUNNELS):
        mend = "leave the VPN, or let `vantage` name the network where it ends"
        return Finding("gateway", well=False, text=f"{interface} is a tunnel", mend=mend)
    return Finding("gateway", well=True, text=f"by {interface}")


def _examine_ipv6() -> Finding:
    """Look whether a route leads to the IPv6 Internet; connecting UDP sends nothing."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as trial:
            trial.connect(("2001:db8::1", 9))
    except OSError:
        return Finding("ipv6", well=True, text="none; IPv6 targets do not count")
    return Finding("ipv6", well=True, text="there is a route")


def _examine_icmp() -> Finding:
    for kind, name in ((socket.SOCK_DGRAM, "unprivileged"), (socket.SOCK_RAW, "raw")):
        try:
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
        except OSError:
            continue
        return Finding("icmp", well=True, text=name)
    mend = 'run as root: sysctl -w net.ipv4.ping_group_range="0 2147483647"'
    return Finding("icmp", well=False, text="not allowed; icmp targets do not count", mend=mend)


async def _examine_broker(connect: Callable[[], Link]) -> Finding:
    try:
        async with connect():
            return Finding("broker", well=True, text="connected")
    except LinkError as error:
        mend = "look at [broker] in the configuration; measuring goes on without"
        return Finding("broker", well=False, text=str(error), mend=mend)

"""A vantage, put together from the configuration, on the light install alone."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import cast

from netwatch.agent.consent import Consent, PauseWatch, needs_consent
from netwatch.agent.doctor import Finding, Patient, examine
from netwatch.agent.identity import read_or_make_identity
from netwatch.agent.loop import AgentParts, run_agent
from netwatch.agent.runner import Runner
from netwatch.agent.spool import Spool
from netwatch.agent.target_list import TargetBook
from netwatch.app.broker import broker_password, link_factory
from netwatch.app.clock import now
from netwatch.config import Config
from netwatch.model.errors import ConfigError
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.plugins import load_plugin
from netwatch.protocols import Probe

__all__ = [
    "demand_consent",
    "examine_vantage",
    "key_path",
    "load_probes",
    "membership_path",
    "open_consent",
    "open_spool",
    "open_target_book",
    "present",
    "purge_vantage",
    "run_once",
    "run_vantage",
    "targets_of",
    "vantage_of",
]

_OURS = (
    "spool-{}.sqlite*",
    "agent-{}.key*",
    "consent-{}.json",
    "targets-{}",
    "observatory-{}.json",
)
"""What a vantage keeps on its machine, by its name."""


def present() -> datetime:
    """Return the present, aware UTC."""
    return now()


def load_probes(targets: tuple[Target, ...]) -> dict[str, Probe]:
    """Return one probe for every name that a target asks for.

    Raises:
        PluginError: a name that no installed plugin has.
    """
    names = sorted({target.probe for target in targets})
    return {name: cast("Probe", load_plugin("probes", name)()) for name in names}


def vantage_of(config: Config) -> Vantage:
    """Return what is told about this place."""
    return Vantage(config.vantage.id, config.vantage.country, config.vantage.asn)


async def run_vantage(config: Config, *, with_consent: bool = False) -> None:
    """Measure and send until cancelled.

    Args:
        config: the configuration.
        with_consent: hold still while the person at the machine has not agreed.

    Raises:
        ConfigError: there is nothing to probe, or a target's probe does not exist.
    """
    targets = targets_of(config)
    if not targets:
        raise ConfigError("target: there is none, so there is nothing to probe")
    password = broker_password(config)
    with open_spool(config) as spool:
        needed = with_consent and any(needs_consent(target) for target in targets_of(config))
        await run_agent(
            AgentParts(
                vantage=vantage_of(config),
                targets=targets,
                probes=load_probes(targets),
                connect=link_factory(config.broker, password),
                spool=spool,
                clock=now,
                config=config.agent,
                paused=PauseWatch(open_consent(config), clock=now, needed=needed),
            )
        )


async def run_once(config: Config) -> list[Measurement]:
    """Measure every target once, keep and send nothing, and return what was seen."""
    targets = targets_of(config)
    runner = Runner(load_probes(targets), now, config.agent.timeout.total_seconds())
    slots = asyncio.Semaphore(config.agent.concurrency)

    async def measure(target: Target) -> Measurement:
        async with slots:
            return await runner.measure(target)

    return await asyncio.gather(*(measure(target) for target in targets))


async def examine_vantage(config: Config) -> list[Finding]:
    """Look for what keeps this vantage from working."""
    connect = link_factory(config.broker, broker_password(config))
    patient = Patient(
        folder=_folder(config),
        vantage=config.vantage.id,
        targets=targets_of(config),
        consent=open_consent(config),
        connect=lambda: connect(None),
        now=now(),
    )
    return await examine(patient)


def open_target_book(config: Config, *, key: bytes | None = None) -> TargetBook:
    """Return the book that keeps the observatory's last good target list."""
    return TargetBook(_folder(config) / f"targets-{config.vantage.id}", key=key)


def targets_of(config: Config) -> tuple[Target, ...]:
    """Return the configuration's targets and the adopted list's; the host's own come first."""
    listed = open_target_book(config).current()
    own = {target.id for target in config.target}
    more = listed.targets if listed is not None else ()
    return (*config.target, *(target for target in more if target.id not in own))


@contextmanager
def open_spool(config: Config) -> Iterator[Spool]:
    """Open the vantage's spool, which signs with the vantage's key."""
    path = _folder(config) / f"spool-{config.vantage.id}.sqlite"
    identity = read_or_make_identity(key_path(config))
    limit = config.agent.spool_bytes
    vantage = vantage_of(config)
    with Spool(path, vantage=vantage, born=now(), limit=limit, pack=identity.pack) as spool:
        yield spool


def open_consent(config: Config) -> Consent:
    """Return what the person at this machine has agreed to."""
    return Consent(_folder(config) / f"consent-{config.vantage.id}.json")


def demand_consent(config: Config) -> None:
    """Make sure that somebody has agreed to what can be seen from outside.

    Raises:
        ConfigError: nobody has; it says how to.
    """
    needed = any(needs_consent(target) for target in targets_of(config))
    if needed and open_consent(config).granted_at() is None:
        raise ConfigError(
            "nobody has agreed to probing from this machine yet; read what it means with"
            " `netwatch agent explain`, then run `netwatch agent consent grant`"
        )


def purge_vantage(config: Config) -> list[Path]:
    """Erase what this vantage keeps on this machine, and return what was erased."""
    folder = _folder(config)
    found = [
        path for pattern in _OURS for path in sorted(folder.glob(pattern.format(config.vantage.id)))
    ]
    for path in found:
        path.unlink()
    return found


def key_path(config: Config) -> Path:
    """Return where this vantage's key is."""
    return _folder(config) / f"agent-{config.vantage.id}.key"


def membership_path(config: Config) -> Path:
    """Return where it is kept what enrolment told."""
    return _folder(config) / f"observatory-{config.vantage.id}.json"


def _folder(config: Config) -> Path:
    """Return the data folder, which exists from here on.

    Raises:
        ConfigError: it cannot be made.
    """
    folder = Path(config.data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data = {config.data!r}: cannot be used: {error.strerror}") from error
    return folder

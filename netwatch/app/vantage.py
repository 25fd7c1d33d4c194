"""A vantage: an agent built from the configuration. Needs the light installation only."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random

from netwatch.agent.clock import DisciplinedClock, boot_id
from netwatch.agent.consent import needs_consent
from netwatch.agent.doctor import DoctorContext, run_checks
from netwatch.agent.doctor_network import CheckResult
from netwatch.agent.health.gateway import GatewayMonitor
from netwatch.agent.http_time import poll_time_sources
from netwatch.agent.identity import load_or_create_identity
from netwatch.agent.loop import AgentDeps, run_agent
from netwatch.agent.measure.probe_runner import ProbeRunner
from netwatch.agent.pause import PauseWatch, run_with_consent
from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool, SpoolState
from netwatch.agent.target_list import poll_target_list
from netwatch.aio.tasks import run_until_first_exits
from netwatch.app.data_files import secure_data_folder
from netwatch.app.factories import make_probes
from netwatch.app.target_selection import choose_targets, fetch_target_list, open_target_list_store
from netwatch.app.transports import endpoints, time_sources
from netwatch.app.vantage_files import (
    data_folder,
    enrollment_path,
    key_path,
    list_files,
    open_consent,
    read_enrollment,
    spool_path,
)
from netwatch.app.wall_clock import now, wall
from netwatch.config import Config
from netwatch.model.errors import ConfigError, NetwatchError, os_errors_as
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.protocols import Probe
from netwatch.wire.presence_message import PRESENCE

_RESTART_SPREAD = 6
"""Flush intervals over which agents restart after a new list, which reaches all at once."""
_POLL_FLUSHES = 3
"""Flush intervals between two checks for changed targets."""


def describe_vantage(config: Config) -> Vantage:
    """Return the identity that measurements carry."""
    return Vantage(config.vantage.id, config.vantage.country, config.vantage.asn)


async def run_vantage(config: Config, *, with_consent: bool = False) -> None:
    """Measure and send until cancelled; restart whenever the targets change.

    With `with_consent`, nothing is measured before the host has consented.

    Raises:
        ConfigError: there are no targets, or a target's probe is not installed.
    """
    secure_data_folder(Path(config.data))
    if not choose_targets(config).targets and read_enrollment(config) is None:
        raise ConfigError("target: none is configured, so there is nothing to probe")
    _require_enrolled_key(config)
    clock = DisciplinedClock(wall, boot=boot_id(config.vantage.id))
    while True:
        await _run_until_changed(config, clock, with_consent=with_consent)
        if not key_path(config).exists():
            raise ConfigError("the files of this vantage were erased, so the agent stops")


def _require_enrolled_key(config: Config) -> None:
    """Refuse to replace a lost key in silence: the observatory accepts no batch under another."""
    path = key_path(config)
    has_run = spool_path(config).exists() and read_enrollment(config) is not None
    if has_run and not path.exists():
        raise ConfigError(
            f"{path}: is missing; restore it, or delete {enrollment_path(config)} and enroll again"
        )


async def _run_until_changed(
    config: Config, clock: DisciplinedClock, *, with_consent: bool
) -> None:
    targets = choose_targets(config).targets
    list_store = open_target_list_store(config)
    enrollment = read_enrollment(config)
    pause = PauseWatch(
        open_consent(config),
        clock=now,
        consent_needed=with_consent and _needs_consent(config),
        target_list=list_store.current,
    )
    changes = TargetChangeWatcher(config, targets)
    identity = load_or_create_identity(key_path(config))
    uplinks = endpoints(config, enrollment)

    def sign(message: bytes) -> bytes:
        # After erasure, an empty message removes the retained one from the broker.
        return identity.signer.sign(message, PRESENCE.purpose) if key_path(config).exists() else b""

    def receive_list(message: bytes) -> None:
        if list_store.receive(message, clock.true_time()):
            changes.notify()

    with open_spool(config) as spool:
        if enrollment is not None:
            # Only this collector's acknowledgements may remove batches from now on.
            spool.set_meta(MetaKey.COLLECTOR, bytes.fromhex(enrollment.collector))
        deps = AgentDeps(
            vantage=describe_vantage(config),
            targets=targets,
            probes=_probes(config, targets),
            endpoints=uplinks,
            sign=sign,
            spool=spool,
            clock=clock,
            config=config.agent,
            pause_reason=pause,
            on_target_list=receive_list,
        )
        sources = time_sources(config, enrollment)
        poll_time = partial(poll_time_sources, clock, sources)
        work = [run_agent(deps), changes.wait(), run_with_consent(pause, poll_time)]
        if enrollment is not None:
            fetch = partial(fetch_target_list, enrollment, list_store, clock.true_time)
            poll_list = partial(poll_target_list, fetch, changes.notify)
            work.append(run_with_consent(pause, poll_list))
        await run_until_first_exits(*work)


def _probes(config: Config, targets: Iterable[Target]) -> dict[str, Probe]:
    return make_probes(config, (target.probe for target in targets))


class TargetChangeWatcher:
    """Waits until the targets differ from those at the start, or the vantage is erased."""

    def __init__(self, config: Config, targets: tuple[Target, ...]) -> None:
        self._config, self._targets = config, targets
        self._flush_seconds = config.agent.flush_interval.total_seconds()
        self._notified = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def notify(self) -> None:
        """Check for a change now. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._notified.set)

    async def wait(self) -> None:
        """Return once the targets have changed, after a random delay."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._notified.wait(), _POLL_FLUSHES * self._flush_seconds)
            self._notified.clear()
            if not await asyncio.to_thread(key_path(self._config).exists):
                return
            selection = await asyncio.to_thread(choose_targets, self._config)
            if selection.targets != self._targets:
                break
        delay = Random().uniform(0, _RESTART_SPREAD * self._flush_seconds)  # noqa: S311 - jitter
        await asyncio.sleep(delay)


async def run_once(config: Config) -> list[Measurement]:
    """Measure every target once and return the measurements; nothing is stored or sent."""
    targets = choose_targets(config).targets
    runner = ProbeRunner(_probes(config, targets), now, config.agent.timeout.total_seconds())
    slots = asyncio.Semaphore(config.agent.concurrency)

    async def measure(target: Target) -> Measurement:
        async with slots:
            return await runner.measure(target)

    return await asyncio.gather(*(measure(target) for target in targets))


async def examine_vantage(config: Config) -> list[CheckResult]:
    """Check everything that this vantage needs in order to work."""
    uplinks = endpoints(config, read_enrollment(config))
    targets, list_store = choose_targets(config).targets, open_target_list_store(config)
    probes = _probes(config, targets)
    runner = ProbeRunner(probes, now, config.agent.timeout.total_seconds())
    rejection = list_store.rejection()
    context = DoctorContext(
        folder=data_folder(config),
        vantage=config.vantage.id,
        targets=targets,
        consent=open_consent(config),
        endpoints=uplinks,
        now=now(),
        probes=probes,
        run_probe=runner.measure,
        gateway=GatewayMonitor(),
        spool=_spool_state(config),
        target_list=list_store.current(),
        rejection="" if rejection is None else rejection.reason,
    )
    return await run_checks(context)


def _spool_state(config: Config) -> SpoolState | None:
    try:
        with open_spool(config) as spool:
            return spool.state()
    except (NetwatchError, OSError):
        return None


def open_spool(config: Config) -> Spool:
    """Open the vantage's spool, which signs batches with the vantage's key."""
    return Spool(
        spool_path(config),
        vantage=describe_vantage(config),
        created_at=now(),
        limit=config.agent.spool_bytes,
        pack=load_or_create_identity(key_path(config)).pack,
    )


def demand_consent(config: Config) -> None:
    """Check that the host has consented, if anything is visible outside this machine.

    Raises:
        ConfigError: consent is missing; the message names the command that grants it.
    """
    if _needs_consent(config) and open_consent(config).granted_at() is None:
        raise ConfigError(
            "nobody has agreed to probing from this machine yet; read what it means with"
            " `netwatch agent explain`, then run `netwatch agent consent grant`"
        )


def _needs_consent(config: Config) -> bool:
    selection = choose_targets(config)
    skipped = (one.listed.target for one in selection.skipped)
    return read_enrollment(config) is not None or any(
        needs_consent(target) for target in (*selection.targets, *skipped)
    )


def purge_vantage(config: Config) -> list[Path]:
    """Erase all files of this vantage and return their paths.

    Raises:
        ConfigError: a file cannot be erased.
    """
    paths = list_files(config)
    for path in paths:
        with os_errors_as(ConfigError, f"{path}: cannot be erased"):
            path.unlink(missing_ok=True)
    return paths

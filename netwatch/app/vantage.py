"""A vantage, put together from the configuration, on the light install alone."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
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
from netwatch.agent.pause import PauseWatch, run_while_not
from netwatch.agent.spool.spool import Spool, SpoolState
from netwatch.agent.target_list import poll_target_list
from netwatch.agent.uplink.failover import Endpoint
from netwatch.aio.tasks import run_until_first_exits
from netwatch.app.clock import now
from netwatch.app.factories import make_probes
from netwatch.app.targets import chosen_targets, fetch_list, open_target_list_store, targets_of
from netwatch.app.transports import endpoints, time_sources
from netwatch.app.vantage_files import (
    files_of,
    folder_of,
    key_path,
    membership_of,
    open_consent,
    spool_path,
)
from netwatch.config import Config
from netwatch.model.errors import ConfigError, NetwatchError
from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.protocols import Probe
from netwatch.wire.signing import PRESENCE

_CALM = 6
"""Seals over which agents spread that begin anew with a new list."""
_LOOK = 3
"""Seals between two looks at what is to be probed."""


def present() -> datetime:
    """Return the present, aware UTC."""
    return now()


def _probes(config: Config, targets: Iterable[Target]) -> dict[str, Probe]:
    """Return the probes that the targets need."""
    return make_probes(config, (target.probe for target in targets))


def vantage_of(config: Config) -> Vantage:
    """Return what is told about this place."""
    return Vantage(config.vantage.id, config.vantage.country, config.vantage.asn)


async def run_vantage(config: Config, *, with_consent: bool = False) -> None:
    """Measure and send until cancelled; begins anew when there is something else to probe.

    Args:
        config: the configuration.
        with_consent: hold still while the person at the machine has not agreed.

    Raises:
        ConfigError: there is nothing to probe, or a target's probe does not exist.
    """
    if not targets_of(config) and membership_of(config) is None:
        raise ConfigError("target: there is none, so there is nothing to probe")
    keeper = DisciplinedClock(now, boot=boot_id(config.vantage.id))
    while True:
        await _run_until_changed(config, keeper, with_consent=with_consent)
        if not key_path(config).exists():
            raise ConfigError("what this vantage keeps was erased, so its agent ends")


async def _run_until_changed(
    config: Config, keeper: DisciplinedClock, *, with_consent: bool
) -> None:
    """Measure and send until there is something else to probe."""
    targets, book, enrolled = (
        targets_of(config),
        open_target_list_store(config),
        membership_of(config),
    )
    needed = with_consent and _is_seen(config)
    watch = PauseWatch(
        open_consent(config), clock=now, consent_needed=needed, target_list=book.current
    )
    news = TargetChangeWatcher(config, targets)
    identity = load_or_create_identity(key_path(config))
    brokers, url = (enrolled.brokers, enrolled.url) if enrolled else ((), "")
    ways = endpoints(config, brokers=brokers, url=url)

    def sign(message: bytes) -> bytes:
        # Who was erased says nothing more: an empty message takes the last one off the broker.
        return identity.signer.sign(message, PRESENCE) if key_path(config).exists() else b""

    def hear(message: bytes) -> None:
        if book.receive(message, now()):
            news.tell()

    with open_spool(config) as spool:
        if enrolled is not None:
            # From here on nobody else's acknowledgement makes us forget anything.
            spool.set_meta("collector", bytes.fromhex(enrolled.collector))
        parts = AgentDeps(
            vantage=vantage_of(config),
            targets=targets,
            probes=_probes(config, targets),
            endpoints=ways,
            sign=sign,
            spool=spool,
            clock=keeper,
            config=config.agent,
            pause_reason=watch,
            on_target_list=hear,
        )
        canaries = time_sources(config, url)
        ask_time = partial(poll_time_sources, keeper, canaries)
        work = [run_agent(parts), news.wait(), run_while_not(watch.is_withdrawn, ask_time)]
        if enrolled is not None:
            ask = partial(fetch_list, enrolled, book)
            ask_mirror = partial(poll_target_list, ask, news.tell)
            work.append(run_while_not(watch.is_withdrawn, ask_mirror))
        await run_until_first_exits(*work)


def _ways(config: Config) -> tuple[Endpoint, ...]:
    """Return the ways to the observatory that was configured, or enrolled with."""
    enrolled = membership_of(config)
    if enrolled is None:
        return endpoints(config)
    return endpoints(config, brokers=enrolled.brokers, url=enrolled.url)


class TargetChangeWatcher:
    """Ends a wait when there is something else to probe than at the start of it."""

    def __init__(self, config: Config, targets: tuple[Target, ...]) -> None:
        self._config, self._targets = config, targets
        self._seal = config.agent.flush_interval.total_seconds()
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def tell(self) -> None:
        """Say that there may be; from any thread."""
        self._loop.call_soon_threadsafe(self._told.set)

    async def wait(self) -> None:
        """Look at what is to be probed now and then, and when told; return once it is new."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), _LOOK * self._seal)
            self._told.clear()
            if not await asyncio.to_thread(key_path(self._config).exists):
                return
            if await asyncio.to_thread(targets_of, self._config) != self._targets:
                break
        # A new list reaches every agent at once; they must not come back at once.
        await asyncio.sleep(Random().uniform(0, _CALM * self._seal))  # noqa: S311 - spreads


async def run_once(config: Config) -> list[Measurement]:
    """Measure every target once, keep and send nothing, and return what was seen."""
    targets = targets_of(config)
    runner = ProbeRunner(_probes(config, targets), now, config.agent.timeout.total_seconds())
    slots = asyncio.Semaphore(config.agent.concurrency)

    async def measure(target: Target) -> Measurement:
        async with slots:
            return await runner.measure(target)

    return await asyncio.gather(*(measure(target) for target in targets))


async def examine_vantage(config: Config) -> list[CheckResult]:
    """Look for what keeps this vantage from working."""
    ways = _ways(config)
    targets, book = targets_of(config), open_target_list_store(config)
    probes = _probes(config, targets)
    runner = ProbeRunner(probes, now, config.agent.timeout.total_seconds())
    refusal = book.rejection()
    patient = DoctorContext(
        folder=folder_of(config),
        vantage=config.vantage.id,
        targets=targets,
        consent=open_consent(config),
        connect=partial(ways[0].make_transport, None),
        endpoints=ways,
        now=now(),
        probes=probes,
        run_probe=runner.measure,
        gateway=GatewayMonitor(),
        spool=_spool_state(config),
        target_list=book.current(),
        rejection="" if refusal is None else refusal.reason,
    )
    return await run_checks(patient)


def _spool_state(config: Config) -> SpoolState | None:
    """Return how full the spool is, None where that cannot be told."""
    try:
        with open_spool(config) as spool:
            return spool.state()
    except (NetwatchError, OSError):
        return None


@contextmanager
def open_spool(config: Config) -> Iterator[Spool]:
    """Open the vantage's spool, which signs with the vantage's key."""
    path = spool_path(config)
    identity = load_or_create_identity(key_path(config))
    limit = config.agent.spool_bytes
    vantage = vantage_of(config)
    with Spool(path, vantage=vantage, created_at=now(), limit=limit, pack=identity.pack) as spool:
        yield spool


def demand_consent(config: Config) -> None:
    """Make sure that somebody has agreed to what can be seen from outside.

    Raises:
        ConfigError: nobody has; it says how to.
    """
    if _is_seen(config) and open_consent(config).granted_at() is None:
        raise ConfigError(
            "nobody has agreed to probing from this machine yet; read what it means with"
            " `netwatch agent explain`, then run `netwatch agent consent grant`"
        )


def _is_seen(config: Config) -> bool:
    """Tell whether anybody but this machine can see what a vantage does, or could with consent."""
    chosen = chosen_targets(config)
    offered = (one.listed.target for one in chosen.left)
    seen = any(needs_consent(target) for target in (*chosen.targets, *offered))
    return seen or membership_of(config) is not None


def purge_vantage(config: Config) -> list[Path]:
    """Erase what this vantage keeps on this machine, and return what was erased."""
    found = files_of(config)
    for path in found:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(f"{path}: cannot be erased: {error.strerror}") from error
    return found

"""The operator's side of the fleet: invitations, agents, and what they are told."""

import asyncio
import logging
import secrets
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.agent.identity import Identity, load_or_create_identity
from netwatch.agent.private_files import FOLDER_MODE
from netwatch.app.broker import broker_password, link_factory
from netwatch.app.clock import now
from netwatch.collector.batch_log import BATCH_LOG_FILE, BatchLog
from netwatch.collector.enrollment_service import EnrollmentGrant, EnrollmentService
from netwatch.collector.registry import Agent, InvitationScope, Registry
from netwatch.config import Config
from netwatch.model.errors import ConfigError, TransportError
from netwatch.signals.presence.log import PRESENCE_FILE, PresenceLog
from netwatch.wire.enrollment import Invitation, check_url
from netwatch.wire.sealed_box import encryption_key
from netwatch.wire.topics import presence_topic

_SECRET = 16
_PATIENCE = 5.0
"""Seconds for the broker to forget an agent's presence."""
_log = logging.getLogger("netwatch.app.fleet_admin")


def collector_identity(config: Config) -> Identity:
    """Return the collector's key, made at the first need; tokens pin it.

    Raises:
        ConfigError: it cannot be read or made.
    """
    return load_or_create_identity(Path(config.data) / "collector.key")


def targets_identity(config: Config, path: Path | None = None) -> Identity:
    """Return the key that target lists are signed with, in `path` if it is kept elsewhere.

    Raises:
        ConfigError: it cannot be read or made.
    """
    return load_or_create_identity(path or Path(config.data) / "targets.key")


def make_enrollment_service(config: Config) -> EnrollmentService:
    """Return what answers agents that want to enroll, change their key, or be forgotten."""
    brokers = config.fleet.brokers
    if not brokers and not config.broker.embedded:
        scheme = "mqtts" if config.broker.tls else "mqtt"
        brokers = (f"{scheme}://{config.broker.host}:{config.broker.port}",)
    return EnrollmentService(
        lambda: Registry(_file(config)),
        partial(erase_agent, config),
        signer=collector_identity(config).signer,
        grant=EnrollmentGrant(targets_identity(config).signer.public, brokers),
        clock=now,
    )


def invite(config: Config, bounds: InvitationScope, *, length: timedelta) -> tuple[str, datetime]:
    """Return a token that is good for one agent, and when it expires; only its hash is kept.

    Raises:
        InputError: `fleet.url` is no address.
        StoreError: the tables cannot be written.
    """
    signer = collector_identity(config).signer
    url = check_url(config.fleet.url or config.publish.url)
    invitation = Invitation(
        secrets.token_bytes(_SECRET), signer.public, encryption_key(signer), url
    )
    with Registry(_file(config)) as registry:
        expires = registry.invite(invitation.digest, bounds, now=now(), length=length)
    return invitation.text(), expires


def fleet_is_public(config: Config) -> bool:
    """Tell whether tokens lead anywhere but to this machine."""
    host = urlsplit(config.fleet.url or config.publish.url).hostname
    return host not in {"127.0.0.1", "::1", "localhost"}


def list_agents(config: Config) -> list[Agent]:
    """Return every agent that the collector knows.

    Raises:
        StoreError: the tables cannot be read.
    """
    with Registry(_file(config)) as registry:
        return registry.agents(now(), open_weight=config.fleet.open_weight)


def retire_agent(config: Config, name: str) -> None:
    """Take nothing more from an agent.

    Raises:
        InputError: nobody has that name.
        StoreError: the tables cannot be written.
    """
    with Registry(_file(config)) as registry:
        registry.retire(name, now=now())


def release_quarantine(config: Config, name: str) -> int:
    """End an agent's quarantine; return how many batches count from now on.

    Raises:
        StoreError: the tables cannot be written.
    """
    with BatchLog(_file(config)) as batch_log:
        return batch_log.release(name, width=config.analysis.bin)


def erase_agent(config: Config, name: str) -> int:
    """Forget an agent, its batches, and when it was there; return how many batches these were.

    Not to be called in an event loop. A broker that cannot be reached is told of in the log.

    Raises:
        StoreError: the tables cannot be written.
    """
    with PresenceLog(Path(config.data) / PRESENCE_FILE) as presence_log:
        presence_log.erase(name)
    with BatchLog(_file(config)) as batch_log:
        erased = batch_log.erase(name)
    try:
        asyncio.run(_take_off_broker(config, name))
    except (TransportError, TimeoutError, ConfigError) as error:
        _log.warning("the broker may still hold the presence of who was erased: %s", error)
    return erased


async def _take_off_broker(config: Config, name: str) -> None:
    """Take what an agent said last off the broker, which retains it."""
    link = link_factory(config.broker, broker_password(config))(None)
    async with asyncio.timeout(_PATIENCE), link:
        await link.publish(presence_topic(name), b"", retain=True)


def _file(config: Config) -> Path:
    """Return the collector's file, in a folder that exists from here on."""
    folder = Path(config.data)
    try:
        folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data = {config.data!r}: cannot be used: {error.strerror}") from error
    return folder / BATCH_LOG_FILE

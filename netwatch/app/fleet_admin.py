"""Administration of a fleet: invitations, agents, quarantine and erasure."""

import asyncio
import logging
import secrets
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import urlsplit

from netwatch.agent.identity import Identity, load_identity, load_or_create_identity
from netwatch.app.data_files import (
    BATCHES_FILE,
    DATABASES,
    IRREPLACEABLE,
    PRESENCE_FILE,
    open_installation,
)
from netwatch.app.transports import broker_connector, broker_url
from netwatch.app.wall_clock import now
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.canary import canary_secret
from netwatch.collector.enrollment_service import EnrollmentService
from netwatch.collector.registry import InvitationScope, Registry
from netwatch.collector.trust_weights import TrustSettings
from netwatch.config import Config
from netwatch.model.addresses import is_loopback
from netwatch.model.errors import ConfigError, InputError, TransportError
from netwatch.signals.presence.log import PresenceLog
from netwatch.storage.installation import Installation
from netwatch.wire.enrollment import Invitation, check_url
from netwatch.wire.request_encryption import encryption_key
from netwatch.wire.topics import presence_topic

_TARGETS_KEY = "targets.key"
_SECRET_BYTES = 16
_BROKER_TIMEOUT = 5.0
"""Seconds to remove a retained message from the broker."""
_log = logging.getLogger("netwatch.app.fleet_admin")


def collector_identity(config: Config) -> Identity:
    """Return the collector's key, which tokens pin; it is created on first use.

    Raises:
        LostError: it was there before.
    """
    return _recorded_identity(config, "collector.key")


def targets_identity(config: Config, path: Path | None = None) -> Identity:
    """Return the key that signs target lists, from `path` if it is kept elsewhere.

    Raises:
        LostError: it was in the data folder before.
    """
    if path is None:
        return _recorded_identity(config, _TARGETS_KEY)
    identity = load_or_create_identity(path)
    open_installation(config).record_key(_TARGETS_KEY, identity.signer.public)
    return identity


def targets_public_key(config: Config) -> bytes:
    """Return the public half of that key, also while the private one is kept elsewhere."""
    known = open_installation(config).recorded_key(_TARGETS_KEY)
    return known or targets_identity(config).signer.public


def _recorded_identity(config: Config, name: str) -> Identity:
    installation = open_installation(config)
    if installation.recorded_key(name) is None:
        identity = load_or_create_identity(Path(config.data) / name)
    else:
        identity = installation.open_key(name, load_identity)
    installation.record_key(name, identity.signer.public)
    return identity


def accept_file(folder: Path, name: str) -> str:
    """Go on without what a data folder lost of a file; return what that means.

    Raises:
        InputError: the file is not one of those that refuse to be replaced.
    """
    if name not in IRREPLACEABLE:
        raise InputError(f"{name!r}: must be one of {', '.join(IRREPLACEABLE)}")
    installation = Installation(folder, DATABASES)
    if name in DATABASES:
        return installation.accept(name, now())
    is_sound = True
    try:
        load_identity(folder / name)
    except ConfigError:
        is_sound = False
    return installation.accept_key(name, now(), is_sound=is_sound)


def trust_settings(config: Config) -> TrustSettings:
    """Return who counts in addition to enrolled agents."""
    return TrustSettings(
        config.fleet.open_weight,
        lambda: frozenset(own_keys(config).values()),
        canary_secret(collector_identity(config).signer),
    )


def own_keys(config: Config) -> dict[str, bytes]:
    """Return the public keys of the observatory's own vantages, by name.

    They are those whose private key is in the data folder, where nobody else can put one. A file
    that cannot be read is logged once: its vantage does not run either.
    """
    keys = {}
    for path in sorted(Path(config.data).glob("agent-*.key")):
        name = path.stem.removeprefix("agent-")
        try:
            keys[name] = load_identity(path).signer.public
        except ConfigError as error:
            _warn_once(f"this vantage does not count as our own: {error}")
    return keys


@lru_cache
def _warn_once(text: str) -> None:
    """Log a line that would come again with every interval."""
    _log.warning("%s", text)


def make_enrollment_service(config: Config) -> EnrollmentService:
    """Return the service for enrollment, key change and erasure."""
    brokers = config.fleet.brokers
    if not brokers and not config.broker.embedded:
        brokers = (broker_url(config.broker),)
    return EnrollmentService(
        partial(open_registry, config),
        partial(erase_agent, config),
        signer=collector_identity(config).signer,
        targets_key=targets_public_key(config),
        brokers=brokers,
        clock=now,
    )


def invite(config: Config, scope: InvitationScope, *, length: timedelta) -> tuple[str, datetime]:
    """Return a token for one agent, and when it expires. Only the token's hash is stored.

    Raises:
        InputError: `fleet.url` is not a URL.
        StoreError: the tables cannot be written.
    """
    signer = collector_identity(config).signer
    url = check_url(config.fleet.url or config.publish.url)
    invitation = Invitation(
        secrets.token_bytes(_SECRET_BYTES), signer.public, encryption_key(signer), url
    )
    with open_registry(config) as registry:
        expires = registry.invite(invitation.digest, scope, now=now(), length=length)
    return invitation.text(), expires


def fleet_is_public(config: Config) -> bool:
    """Return whether tokens lead to another address than this machine's loopback."""
    host = urlsplit(config.fleet.url or config.publish.url).hostname
    return not is_loopback(host or "")


def erase_agent(config: Config, name: str) -> int:
    """Erase an agent, its batches and its sessions; return the number of batches.

    Blocks, and must not be called in an event loop. An unreachable broker is logged.
    """
    with PresenceLog(Path(config.data) / PRESENCE_FILE) as presence_log:
        presence_log.erase(name)
    with open_batch_log(config) as batch_log:
        erased = batch_log.erase(name, now=now())
    try:
        asyncio.run(_remove_retained(config, name))
    except (TransportError, TimeoutError, ConfigError) as error:
        _log.warning("the broker may still retain the presence of an erased agent: %s", error)
    return erased


async def _remove_retained(config: Config, name: str) -> None:
    transport = broker_connector(config)(None)
    async with asyncio.timeout(_BROKER_TIMEOUT), transport:
        await transport.publish(presence_topic(name), b"", retain=True)


def open_batch_log(config: Config) -> BatchLog:
    """Return the batch log; LostError if it is missing, damaged or another one than before."""
    return open_installation(config).open(BATCHES_FILE, BatchLog)


def open_registry(config: Config) -> Registry:
    """Return the registry of agents, in the same file."""
    return open_installation(config).open(BATCHES_FILE, Registry)

"""The operator's target list: read from a file, signed, published, and used by the collector."""

import asyncio
import logging
import tomllib
from collections import UserDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from netwatch.agent.target_list import (
    TARGET_LIST,
    TargetList,
    validate_targets,
)
from netwatch.aio.backoff import connect_with_backoff
from netwatch.aio.tasks import run_until_first_exits
from netwatch.app.fleet_admin import targets_identity
from netwatch.app.transports import broker_connector
from netwatch.app.vantage_files import data_folder
from netwatch.app.wall_clock import now
from netwatch.config import Config, check_target_keys
from netwatch.model.addresses import is_public_name, parse_address
from netwatch.model.canary import CANARY_GROUP, CANARY_PATH, PLACEHOLDER
from netwatch.model.errors import ConfigError, InputError, TransportError, os_errors_as
from netwatch.model.measurement import Target
from netwatch.protocols import Transport
from netwatch.storage.private_files import write_private
from netwatch.wire.topics import TARGET_LIST_TOPIC

_log = logging.getLogger(__name__)
_TLS_PORTS = (443, 8443)
"""Ports at which agents use TLS, the default first."""
_POLL_SECONDS = 2.0
"""Between two checks of the published list, and before reconnecting to the broker."""


@dataclass(frozen=True, slots=True)
class _Row(Target):
    """A `[[target]]` of the operator's file: a target, its consent tier and category."""

    tier: Literal["A", "B", "C"] = "A"
    category: str = ""

    def target(self) -> Target:
        return Target(**{entry.name: getattr(self, entry.name) for entry in fields(Target)})


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    target: Annotated[list[_Row], msgspec.Meta(max_length=5000)] = []
    high_risk_countries: list[str] = []


def published_path(config: Config) -> Path:
    """Return the path of the published list."""
    return data_folder(config) / "targets.signed"


def read_published(config: Config) -> bytes | None:
    """Return the signed list, None if none is published."""
    try:
        return published_path(config).read_bytes()
    except OSError:
        return None


def published_list(config: Config) -> TargetList | None:
    """Return the published list, None before the first publication.

    Raises:
        InputError: its file is damaged.
    """
    message = read_published(config)
    try:
        return None if message is None else TARGET_LIST.unpack(message)[0]
    except InputError as error:
        raise InputError(f"{published_path(config)}: {error}; publish the list again") from error


def publish_list(
    config: Config, path: Path, *, length: timedelta, key: Path | None = None
) -> TargetList:
    """Sign and publish the targets in a TOML file.

    The file has `[[target]]` as in the configuration, each with a `tier`, and tier C with a
    `category`; in `high_risk_countries` only tier A is probed. `key` is the path of the signing
    key, if it is kept elsewhere.

    Raises:
        InputError: the file cannot be read, or names a target that no agent may probe.
        ConfigError: the key cannot be read, or the list cannot be written.
    """
    file = _read_file(path)
    by_category: dict[str, tuple[Target, ...]] = {}
    for row in file.target:
        if (row.tier == "C") != bool(row.category):
            raise InputError(f"{path}: {row.id!r}: tier C needs a category, A and B have none")
        if row.category:
            by_category[row.category] = (*by_category.get(row.category, ()), row.target())
    try:
        previous = published_list(config)
    except InputError:
        previous = None  # versions grow with time, and this one replaces the damaged file
    target_list = TargetList(
        version=_next_version(previous),
        expires=now() + length,
        targets=_with_canary(config, [row.target() for row in file.target if row.tier == "A"]),
        popular=tuple(row.target() for row in file.target if row.tier == "B"),
        sensitive=by_category,
        high_risk_countries=tuple(file.high_risk_countries),
        pause_until=previous.pause_until if previous else None,
        pause_reason=previous.pause_reason if previous else "",
    )
    _sign_and_write(config, target_list, key)
    return target_list


def pause_fleet(
    config: Config, until: datetime | None, *, reason: str, key: Path | None = None
) -> TargetList:
    """Ask all agents to stop probing until a time; None ends a pause. The targets stay."""
    previous = published_list(config) or TargetList(1, now() + timedelta(days=90))
    target_list = msgspec.structs.replace(
        previous,
        version=_next_version(previous),
        expires=max(previous.expires, now() + timedelta(days=7)),
        pause_until=until,
        pause_reason=reason,
    )
    _sign_and_write(config, target_list, key)
    return target_list


async def run_list_publisher(config: Config) -> None:
    """Keep the published list as a retained message on the broker, until cancelled."""
    connect = broker_connector(config)
    while True:
        transport = await connect_with_backoff(lambda: connect(None), pace=_POLL_SECONDS)
        try:
            await run_until_first_exits(
                _wait_until_broken(transport), _publish_changes(transport, config)
            )
        except TransportError as error:
            _log.info("target list: %s", error)
        finally:
            await transport.__aexit__(None, None, None)
        await asyncio.sleep(_POLL_SECONDS)


async def _wait_until_broken(transport: Transport) -> None:
    """Read messages, of which none come without a subscription, until the transport fails."""
    async for _ in transport.messages():
        continue


async def _publish_changes(transport: Transport, config: Config) -> None:
    seen: bytes | None = None
    while True:
        message = await asyncio.to_thread(read_published, config)
        if message is not None and message != seen:
            seen = message
            try:
                await asyncio.to_thread(published_list, config)
                await transport.publish(TARGET_LIST_TOPIC, message, retain=True)
            except InputError as error:
                _log.error("%s", error)
        await asyncio.sleep(_POLL_SECONDS)


def _read_file(path: Path) -> _File:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
        file = msgspec.convert(tables, _File)
        check_target_keys(tables, _Row)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}") from error
    return file


def _with_canary(config: Config, targets: Sequence[Target]) -> tuple[Target, ...]:
    """Return tier A with the observatory's canary, if it has a public HTTPS service."""
    url = urlsplit(config.fleet.url or config.publish.url)
    host, port = url.hostname or "", url.port or _TLS_PORTS[0]
    is_named = parse_address(host) is None and is_public_name(host)
    is_served = url.scheme == "https" and not url.path.strip("/") and port in _TLS_PORTS
    if not (is_named and is_served) or any(one.group == CANARY_GROUP for one in targets):
        return tuple(targets)
    path = CANARY_PATH + PLACEHOLDER
    canary = Target("canary", "http", host, port, path, group=CANARY_GROUP)
    return (*(one for one in targets if one.id != canary.id), canary)


def _next_version(previous: TargetList | None) -> int:
    """Return an unused version: the time in seconds, so that it grows even after a lost file."""
    return max(int(now().timestamp()), previous.version + 1 if previous else 1)


def _sign_and_write(config: Config, target_list: TargetList, key: Path | None) -> None:
    validate_targets(target_list)
    message = TARGET_LIST.pack(target_list, targets_identity(config, key).signer)
    path = published_path(config)
    with os_errors_as(ConfigError, f"{path}: cannot be written"):
        write_private(path, message)


class ReloadingTargets(UserDict[str, Target]):
    """A collector's targets by id: the configured ones and those of the published list.

    Iterating reloads the published list if it changed. A target that left the list stays known
    until the next start, because agents may still send measurements of it.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._own = {target.id: target for target in config.target}
        self._stamp = (0, 0)
        super().__init__(self._own)

    def __iter__(self) -> Iterator[str]:
        self._reload()
        return super().__iter__()

    def _reload(self) -> None:
        try:
            status = published_path(self._config).stat()
        except OSError:
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            target_list = published_list(self._config)
        except InputError:
            return
        offered = target_list.listed_targets() if target_list else ()
        # A new mapping each time: an iteration over the old one goes on.
        self.data = {**self.data, **{one.target.id: one.target for one in offered}, **self._own}

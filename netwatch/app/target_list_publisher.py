"""The operator's target list: read from a file, signed, and put where agents find it."""

import asyncio
import logging
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Annotated, Literal

import msgspec

from netwatch.agent.target_list import (
    TargetList,
    decode_target_list,
    sign_target_list,
    validate_targets,
)
from netwatch.aio.backoff import connect_with_backoff
from netwatch.aio.tasks import run_until_first_exits
from netwatch.app.broker import broker_password, link_factory
from netwatch.app.clock import now
from netwatch.app.fleet_admin import targets_identity
from netwatch.app.vantage_files import folder_of
from netwatch.config import Config
from netwatch.model.errors import ConfigError, InputError, TransportError
from netwatch.model.measurement import Target
from netwatch.protocols import Transport
from netwatch.wire.signing import TARGETS, open_signed
from netwatch.wire.topics import TARGET_LIST_TOPIC

_log = logging.getLogger("netwatch.app.targets")
_LOOK = 2.0
"""Seconds between two looks at the published list."""


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[target]]` of the operator's file: a target, and how harmless it is."""

    id: str
    probe: str
    host: str
    port: int = 0
    path: str = ""
    domain: str = ""
    asn: int = 0
    region: str = ""
    country: str = ""
    group: str = ""
    tier: Literal["A", "B", "C"] = "A"
    category: str = ""

    def target(self) -> Target:
        """Return the target itself."""
        plain = msgspec.structs.asdict(self)
        return Target(**{name: plain[name] for name in Target.__slots__})


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's file."""

    target: Annotated[list[_Row], msgspec.Meta(max_length=5000)] = []
    high_risk_countries: list[str] = []


def published_path(config: Config) -> Path:
    """Return where the list stands that agents are told."""
    return folder_of(config) / "targets.signed"


def read_published(config: Config) -> bytes | None:
    """Return the signed list that agents are told, None where there is none."""
    try:
        return published_path(config).read_bytes()
    except OSError:
        return None


def published_list(config: Config) -> TargetList | None:
    """Return the list that agents are told, None where there is none.

    Raises:
        InputError: the file is damaged.
    """
    message = read_published(config)
    return None if message is None else decode_target_list(open_signed(message, TARGETS)[0])


def publish_list(
    config: Config, path: Path, *, length: timedelta, key: Path | None = None
) -> TargetList:
    """Sign the targets in a TOML file and tell them to agents from now on.

    Args:
        config: the configuration.
        path: `[[target]]` as in the configuration, each with `tier`, and C with `category`;
            `high_risk_countries` names countries in which A alone is probed.
        length: how long the list holds before it should have been renewed.
        key: the signing key, where it is kept elsewhere.

    Raises:
        InputError: the file cannot be read, or names what no agent would probe.
        ConfigError: the key cannot be read, or the list not written.
    """
    found = _read_file(path)
    by_category: dict[str, tuple[Target, ...]] = {}
    for row in found.target:
        if (row.tier == "C") != bool(row.category):
            raise InputError(f"{path}: {row.id!r}: a category goes with tier C, and C with one")
        if row.category:
            by_category[row.category] = (*by_category.get(row.category, ()), row.target())
    before = published_list(config)
    listed = TargetList(
        version=_next_version(before),
        expires=now() + length,
        targets=tuple(row.target() for row in found.target if row.tier == "A"),
        popular=tuple(row.target() for row in found.target if row.tier == "B"),
        sensitive=by_category,
        high_risk_countries=tuple(found.high_risk_countries),
        pause_until=before.pause_until if before else None,
        pause_reason=before.pause_reason if before else "",
    )
    _sign_and_write(config, listed, key)
    return listed


def pause_fleet(
    config: Config, until: datetime | None, *, reason: str, key: Path | None = None
) -> TargetList:
    """Ask every agent to probe nothing until then; None ends a pause. The targets stay.

    Raises:
        ConfigError: the key cannot be read, or the list not written.
        InputError: the published list is damaged.
    """
    before = published_list(config) or TargetList(1, now() + timedelta(days=90))
    listed = msgspec.structs.replace(
        before,
        version=_next_version(before),
        expires=max(before.expires, now() + timedelta(days=7)),
        pause_until=until,
        pause_reason=reason,
    )
    _sign_and_write(config, listed, key)
    return listed


async def run_list_publishing(config: Config) -> None:
    """Keep the published list on the broker, where agents that come find it; until cancelled."""
    connect = link_factory(config.broker, broker_password(config))
    while True:
        link = await connect_with_backoff(
            lambda: connect(None),
            pace=_LOOK,
            random=Random(),  # noqa: S311 - jitter
        )
        try:
            await run_until_first_exits(_hold(link), _tell(link, config))
        except TransportError as error:
            _log.info("target list: %s", error)
        finally:
            await link.__aexit__(None, None, None)
        await asyncio.sleep(_LOOK)


async def _hold(link: Transport) -> None:
    """Wait for the link to break; nothing is asked for, so nothing comes."""
    async for _ in link.messages():
        continue


async def _tell(link: Transport, config: Config) -> None:
    """Publish the list, and again whenever it changes."""
    told: bytes | None = None
    while True:
        message = await asyncio.to_thread(read_published, config)
        if message is not None and message != told:
            await link.publish(TARGET_LIST_TOPIC, message, retain=True)
            told = message
        await asyncio.sleep(_LOOK)


def _read_file(path: Path) -> _File:
    """Return the operator's file.

    Raises:
        InputError: it cannot be read or is none.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}") from error


def _next_version(before: TargetList | None) -> int:
    """Return a version that no list had: the time in seconds, so that a lost file matters not."""
    return max(int(now().timestamp()), before.version + 1 if before else 1)


def _sign_and_write(config: Config, listed: TargetList, key: Path | None) -> None:
    """Check a list as agents do, sign it, and put it where they are told it from."""
    validate_targets(listed)
    message = sign_target_list(listed, targets_identity(config, key).signer)
    path = published_path(config)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(message)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error

"""Signed target lists from an observatory: their format, their checks, and polling for new ones.

A list is data, never code, and the host's limits take precedence. It names targets by tier
(`netwatch.agent.target_policy`) and may pause all agents. One invalid target invalidates the whole
list: a target in a private network is an attack or a mistake.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from random import Random
from typing import Annotated

import msgspec

from netwatch.agent.target_policy import CATEGORIES, ConsentTier, ListedTarget
from netwatch.model.addresses import is_public_address, is_public_name
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError, TransportError
from netwatch.model.measurement import Target
from netwatch.model.text import is_word
from netwatch.wire.message_format import MessageFormat

MAX_LIST_BYTES = 256 * 1024
"""Bytes of the largest list, with its signature."""
MAX_TARGETS = 5_000
"""Targets of the largest list, in all tiers."""
_FIRST_POLL, _POLL_PERIOD = 60.0, 6 * 3600.0
"""Seconds within which the list is fetched first, and mean seconds between later fetches."""
_MAX_COUNTRIES = 250
"""High-risk countries in a list; ISO 3166 has 249 codes."""
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)
_PATH = re.compile(r"[!-~]{0,1024}")
_Version = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_Targets = Annotated[tuple[Target, ...], msgspec.Meta(max_length=MAX_TARGETS)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]
_log = logging.getLogger("netwatch.agent.target_list")


class TargetList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an observatory asks its agents to probe.

    Attributes:
        version: increases with every list; an agent refuses older ones.
        expires: when a newer list should have replaced it.
        targets: tier A.
        popular: tier B.
        sensitive: tier C, by category.
        not_before: when it takes effect.
        high_risk_countries: where only tier A is probed, in addition to the built-in ones.
        pause_until: no agent probes before this time.
        pause_reason: the reason for the pause, for hosts.
    """

    version: _Version
    expires: _Time
    targets: _Targets = ()
    popular: _Targets = ()
    sensitive: Annotated[dict[str, _Targets], msgspec.Meta(max_length=64)] = {}
    not_before: _Time | None = None
    high_risk_countries: Annotated[
        tuple[_Country, ...], msgspec.Meta(max_length=_MAX_COUNTRIES)
    ] = ()
    pause_until: _Time | None = None
    pause_reason: Annotated[str, msgspec.Meta(max_length=300)] = ""

    def listed_targets(self) -> Iterator[ListedTarget]:
        """Yield every target with its tier."""
        for target in self.targets:
            yield ListedTarget(target)
        for target in self.popular:
            yield ListedTarget(target, ConsentTier.POPULAR)
        for category, targets in self.sensitive.items():
            for target in targets:
                yield ListedTarget(target, ConsentTier.SENSITIVE, category)


TARGET_LIST: MessageFormat[TargetList] = MessageFormat(
    "target list",
    b"netwatch-targets-v1\0",
    msgspec.json.encode,
    msgspec.json.Decoder(TargetList).decode,
    limit=MAX_LIST_BYTES,
)


def validate_targets(listed: TargetList) -> None:
    """Raise InputError, naming the first target that is not public and well-formed."""
    seen: set[str] = set()
    for category in listed.sensitive:
        if category not in CATEGORIES:
            raise InputError(f"target list: {category[:20]!r} is not a category that is probed")
    for one in listed.listed_targets():
        defect = _target_defect(one.target)
        if one.target.id in seen:
            defect = "is listed twice"
        if defect:
            raise InputError(f"target list: {one.target.id[:80]!r}: {defect}")
        seen.add(one.target.id)
    if len(seen) > MAX_TARGETS:
        raise InputError(f"target list: {len(seen)} targets are too many")


async def poll_target_list(
    fetch: Callable[[], Awaitable[bool]],
    on_change: Callable[[], None],
    *,
    first: float = _FIRST_POLL,
    period: float = _POLL_PERIOD,
) -> None:
    """Fetch the list forever, at random intervals of half to one and a half of `period` seconds.

    `fetch` returns whether the list is new, and may raise TransportError; `on_change` is called if
    it is. The first fetch comes within `first` seconds.
    """
    random = Random()  # noqa: S311 - spreads the agents, hides nothing
    await asyncio.sleep(random.uniform(0, first))
    while True:
        try:
            if await fetch():
                on_change()
        except TransportError as error:
            # The stored list stays in use.
            _log.info("target list: %s", error)
        await asyncio.sleep(random.uniform(period / 2, period * 1.5))


def _target_defect(target: Target) -> str:
    if not is_word(target.id) or target.id.startswith("@"):
        return "is not a valid target id"
    if not 0 <= target.port <= 65_535:
        return f"{target.port} is not a port"
    if not _PATH.fullmatch(target.path):
        return "the path has invalid characters"
    try:
        for entity in target.entities():
            Entity.parse(str(entity))
    except InputError as error:
        return str(error)
    return _host_defect(target.host)


def _host_defect(host: str) -> str:
    try:
        is_public = is_public_address(host)
    except ValueError:
        name = host.lower().rstrip(".")
        if not _HOST_NAME.fullmatch(name):
            return "is not a valid host name"
        return "" if is_public_name(name) else "a name of a private network"
    return "" if is_public else "an address of a private or special range"

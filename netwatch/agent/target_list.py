"""Target lists from an observatory: signed data, never code, and the host's limits win.

A list names targets by tier (`netwatch.agent.target_policy`), and may ask all agents to pause. What
of it is wrong makes all of it wrong: a list with one target in a private network was made by
somebody who means harm, or by mistake.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated

import msgspec

from netwatch.agent.target_policy import CATEGORIES, ConsentTier, ListedTarget
from netwatch.model.addresses import is_public_address, is_public_name
from netwatch.model.entities import Entity
from netwatch.model.errors import InputError
from netwatch.model.measurement import Target
from netwatch.wire.signing import TARGETS, Signer

MAX_LIST_BYTES = 256 * 1024
"""Bytes of the largest list, with its signature."""
MAX_TARGETS = 5_000
_NAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)
_PATH = re.compile(r"[!-~]{0,1024}")
_Version = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]
_Targets = Annotated[tuple[Target, ...], msgspec.Meta(max_length=MAX_TARGETS)]
_Country = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}\Z")]


class TargetList(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What an observatory wants probed.

    Attributes:
        version: grows by every list; an older one is never taken up again.
        expires: when it should have been renewed.
        targets: tier A.
        popular: tier B.
        sensitive: tier C, by category.
        not_before: when it begins to hold.
        high_risk_countries: where only tier A is probed, in addition to the built-in ones.
        pause_until: until then no agent probes anything.
        pause_reason: why, in words for hosts.
    """

    version: _Version
    expires: datetime
    targets: _Targets = ()
    popular: _Targets = ()
    sensitive: Annotated[dict[str, _Targets], msgspec.Meta(max_length=64)] = {}
    not_before: datetime | None = None
    high_risk_countries: Annotated[tuple[_Country, ...], msgspec.Meta(max_length=250)] = ()
    pause_until: datetime | None = None
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


def sign_target_list(listed: TargetList, signer: Signer) -> bytes:
    """Return a list as a signed message.

    Raises:
        InputError: it is too large.
    """
    return signer.sign(msgspec.json.encode(listed), TARGETS, limit=MAX_LIST_BYTES)


def decode_target_list(plain: bytes) -> TargetList:
    """Return the list that a plain message says.

    Raises:
        InputError: it is none.
    """
    try:
        listed = msgspec.json.decode(plain, type=TargetList)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"target list: {str(error)[:200]}") from error
    for name in ("expires", "not_before", "pause_until"):
        moment = getattr(listed, name)
        if moment is not None and moment.tzinfo is None:
            raise InputError(f"target list: `{name}` has no time zone")
    return listed


def validate_targets(listed: TargetList) -> None:
    """Make sure that no machine is asked to probe what none should.

    Raises:
        InputError: one is; names the first such target.
    """
    seen: set[str] = set()
    for category in listed.sensitive:
        if category not in CATEGORIES:
            raise InputError(f"target list: {category[:20]!r} is no category that may be probed")
    for one in listed.listed_targets():
        reason = _objection(one.target)
        if one.target.id in seen:
            reason = "stands twice"
        if reason:
            raise InputError(f"target list: {one.target.id[:80]!r}: {reason}")
        seen.add(one.target.id)
    if len(seen) > MAX_TARGETS:
        raise InputError(f"target list: {len(seen)} targets are too many")


def _objection(target: Target) -> str:
    """Return why a target is not probed, empty where nothing speaks against it."""
    if not 1 <= len(target.id) <= 128 or target.id.startswith("@"):
        return "no name for a target"
    if not 0 <= target.port <= 65_535:
        return f"{target.port} is no port"
    if not _PATH.fullmatch(target.path):
        return "the path holds what no path may"
    try:
        for entity in target.entities():
            Entity.parse(str(entity))
    except InputError as error:
        return str(error)
    return _host_objection(target.host)


def _host_objection(host: str) -> str:
    """Return why a host is not probed: only public addresses and public names are."""
    try:
        public = is_public_address(host)
    except ValueError:
        labels = host.lower().rstrip(".")
        if not _NAME.fullmatch(labels):
            return "no name of a host"
        return "" if is_public_name(labels) else "a name of a private network"
    return "" if public else "an address of a private or special range"

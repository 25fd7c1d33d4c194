"""Target lists from an observatory: signed data, never code, and the host's limits win.

A list that is refused changes nothing: the last good one stays in use, for ever if need be.
Anything older than what was seen is refused, so that nobody can bring back an old list.
"""

import re
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import msgspec

from netwatch.model.entity import Entity
from netwatch.model.errors import InputError
from netwatch.model.measurement import Target
from netwatch.wire.signing import TARGETS, Signer, open_signed

__all__ = ["LARGEST_LIST", "MOST_TARGETS", "TargetBook", "TargetList", "sign_targets"]

LARGEST_LIST = 64 * 1024 - 99
"""Bytes of the largest list, before its signature."""
MOST_TARGETS = 5_000
_NAME = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)
_PATH = re.compile(r"[!-~]{0,1024}")
_Version = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]


class TargetList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an observatory wants probed; `expires` is when it should have been renewed."""

    version: _Version
    expires: datetime
    targets: Annotated[tuple[Target, ...], msgspec.Meta(max_length=MOST_TARGETS)]


class _Kept(msgspec.Struct, frozen=True):
    """The last good list as it came, and whose key it was signed with."""

    key: bytes
    message: bytes


def sign_targets(listed: TargetList, signer: Signer) -> bytes:
    """Return a list as a signed message.

    Raises:
        InputError: it is too large.
    """
    return signer.sign(msgspec.json.encode(listed), TARGETS)


class TargetBook:
    """The last good list, in a file.

    Args:
        path: the file.
        key: the observatory's public key; without, the first one that signs is.
    """

    def __init__(self, path: Path, *, key: bytes | None = None) -> None:
        self._path = path
        self._key = key

    def current(self) -> TargetList | None:
        """Return the last good list, None before the first; expired ones stay good.

        Raises:
            InputError: the file is damaged.
        """
        kept = self._kept()
        return None if kept is None else _parse(open_signed(kept.message, TARGETS)[0])

    def offer(self, message: bytes, now: datetime) -> TargetList:
        """Check a signed list and make it the current one.

        Raises:
            InputError: it is refused, and why; what was current stays so.
        """
        if len(message) > LARGEST_LIST + 99:
            raise InputError(f"target list: {len(message)} bytes are too many")
        plain, key = open_signed(message, TARGETS)
        kept = self._kept()
        known = self._key or (kept.key if kept else None)
        if key is None:
            raise InputError("target list: nobody has signed it")
        if known is not None and key != known:
            raise InputError("target list: signed with a key that is not the observatory's")
        listed = _parse(plain)
        before = self.current()
        if before is not None and listed.version <= before.version:
            raise InputError(
                f"target list: version {listed.version} is not newer than {before.version}"
            )
        if listed.expires <= now:
            raise InputError(f"target list: it expired on {listed.expires:%Y-%m-%d}")
        _check(listed)
        self._write(_Kept(key, message))
        return listed

    def _kept(self) -> _Kept | None:
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise InputError(f"{self._path}: cannot be used: {error}") from error

    def _write(self, kept: _Kept) -> None:
        part = self._path.with_name(self._path.name + ".part")
        try:
            part.write_bytes(msgspec.msgpack.encode(kept))
            part.rename(self._path)
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from error


def _parse(plain: bytes) -> TargetList:
    """Return the list that a plain message says.

    Raises:
        InputError: it is none.
    """
    try:
        listed = msgspec.json.decode(plain, type=TargetList)
    except msgspec.DecodeError as error:
        raise InputError(f"target list: {error}") from error
    if listed.expires.tzinfo is None:
        raise InputError("target list: `expires` has no time zone")
    return listed


def _check(listed: TargetList) -> None:
    """Raise InputError for the first target that this machine will not probe."""
    seen: set[str] = set()
    for target in listed.targets:
        reason = _objection(target)
        if target.id in seen:
            reason = "stands twice"
        if reason:
            raise InputError(f"target list: {target.id[:80]!r}: {reason}")
        seen.add(target.id)


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
        address = ip_address(host)
    except ValueError:
        labels = host.lower().rstrip(".")
        if not _NAME.fullmatch(labels):
            return "no name of a host"
        if labels.rsplit(".", 1)[-1] in {"local", "localhost", "internal", "lan", "onion", "arpa"}:
            return "a name of a private network"
        return ""
    if not address.is_global or address.is_multicast:
        return "an address of a private or special range"
    return ""

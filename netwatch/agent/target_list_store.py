"""The last good target list, in a file; what is refused changes nothing but what is told.

Anything older than what was seen is refused, so that nobody can bring back an old list. A good
list stays in use for ever: an observatory that falls silent stops nobody.
"""

import logging
from datetime import datetime
from pathlib import Path

import msgspec

from netwatch.agent.private_files import write_private
from netwatch.agent.target_list import (
    MAX_LIST_BYTES,
    TargetList,
    decode_target_list,
    validate_targets,
)
from netwatch.model.errors import InputError
from netwatch.wire.signing import TARGETS, open_signed

_log = logging.getLogger("netwatch.agent.target_list")


class Rejection(msgspec.Struct, frozen=True):
    """What was refused last, when, and why."""

    at: datetime
    reason: str


class _Kept(msgspec.Struct, frozen=True):
    """The last good list as it came, whose key it was signed with, and the last refusal."""

    key: bytes = b""
    message: bytes = b""
    rejection: Rejection | None = None


class TargetListStore:
    """The last good list, in a file that several processes may look at.

    Args:
        path: the file.
        key: the observatory's public key; without, the first one that signs is.
    """

    def __init__(self, path: Path, *, key: bytes | None = None) -> None:
        self._path = path
        self._key = key
        self._read: tuple[tuple[int, int], TargetList | None] | None = None

    def current(self) -> TargetList | None:
        """Return the last good list, None before the first; expired ones stay good.

        A damaged file is no list and stops nobody, nor is the list of an observatory that we
        have left for another; the next good list takes its place.
        """
        try:
            found = self._path.stat()
        except OSError:
            return None
        stamp = (found.st_mtime_ns, found.st_size)
        if self._read is None or self._read[0] != stamp:
            kept = self._kept()
            self._read = (stamp, self._open(kept.message) if self._is_ours(kept) else None)
        return self._read[1]

    def rejection(self) -> Rejection | None:
        """Return what was refused since the last good list, None for nothing."""
        return self._kept().rejection

    def adopt(self, message: bytes, now: datetime) -> TargetList:
        """Check a signed list and make it the current one.

        Raises:
            InputError: it is refused, and why; what was current stays so.
        """
        kept = self._kept()
        try:
            listed, key = self._judge(message, kept, now)
        except InputError as error:
            if message != kept.message:
                self._write(_Kept(kept.key, kept.message, Rejection(now, str(error))))
            raise
        self._write(_Kept(key, message))
        return listed

    def receive(self, message: bytes, now: datetime) -> bool:
        """Take a list that came over the wire; tell whether it is a new one.

        The same list once more, as brokers and mirrors repeat it, is no news. Where no key is
        known, neither from enrollment nor from a list that the host adopted, none is taken: a
        broker could say anything.
        """
        kept = self._kept()
        if message == kept.message or not (self._key or kept.key):
            return False
        try:
            listed = self.adopt(message, now)
        except InputError as error:
            _log.warning("%s", error)
            return False
        _log.info("target list: version %d is taken up", listed.version)
        return True

    def _judge(self, message: bytes, kept: _Kept, now: datetime) -> tuple[TargetList, bytes]:
        """Return a good list and who signed it.

        Raises:
            InputError: it is refused, and why.
        """
        if len(message) > MAX_LIST_BYTES:
            raise InputError(f"target list: {len(message)} bytes are too many")
        plain, key = open_signed(message, TARGETS)
        if key is None:
            raise InputError("target list: nobody has signed it")
        if key != (self._key or kept.key or key):
            raise InputError("target list: signed with a key that is not the observatory's")
        listed = decode_target_list(plain)
        before = self._open(kept.message) if self._is_ours(kept) else None
        if before is not None and listed.version <= before.version:
            raise InputError(
                f"target list: version {listed.version} is not newer than {before.version}"
            )
        if listed.expires <= now:
            raise InputError(f"target list: it expired on {listed.expires:%Y-%m-%d}")
        begins = listed.not_before
        if begins is not None and begins > now:
            raise InputError(f"target list: it holds from {begins:%Y-%m-%d %H:%M} UTC on")
        validate_targets(listed)
        return listed, key

    def _is_ours(self, kept: _Kept) -> bool:
        """Tell whether what is kept comes from the observatory whose key we know."""
        return self._key is None or kept.key in {b"", self._key}

    def _open(self, message: bytes) -> TargetList | None:
        """Return the list in a message that was good once, None where it is damaged."""
        try:
            return decode_target_list(open_signed(message, TARGETS)[0]) if message else None
        except InputError as error:
            _log.warning("%s: damaged: %s", self._path, error)
            return None

    def _kept(self) -> _Kept:
        try:
            return msgspec.msgpack.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return _Kept()
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("%s: cannot be used: %s", self._path, error)
            return _Kept()

    def _write(self, kept: _Kept) -> None:
        try:
            write_private(self._path, msgspec.msgpack.encode(kept))
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written: {error.strerror}") from error

"""Stores the last valid target list in a file; a refused list leaves it in use.

A list must be newer than the stored one, so that nobody can bring back an old list. A stored list
never expires: an observatory that goes silent stops no agent.
"""

import logging
from datetime import datetime
from pathlib import Path
from threading import Lock

import msgspec

from netwatch.agent.record_file import read_record, write_record
from netwatch.agent.target_list import (
    TARGET_LIST,
    TargetList,
    validate_targets,
)
from netwatch.model.errors import ConfigError, InputError

_log = logging.getLogger("netwatch.agent.target_list")
_SAID: set[str] = set()


class Rejection(msgspec.Struct, frozen=True):
    """The last refused list: when, and why."""

    at: datetime
    reason: str


class _Record(msgspec.Struct, frozen=True):
    key: bytes = b""
    message: bytes = b""
    rejection: Rejection | None = None


class TargetListStore:
    """The last valid list, in a file that several processes may read; threads may share it.

    `key` is the observatory's public key; without it, the key of the first adopted list.
    """

    def __init__(self, path: Path, *, key: bytes | None = None) -> None:
        self._path = path
        self._key = key
        self._cache: tuple[tuple[int, int], TargetList | None] | None = None
        # MQTT and HTTP deliver lists in different threads.
        self._writing = Lock()

    def current(self) -> TargetList | None:
        """Return the stored list, expired or not; None if missing.

        A damaged file, and the list of another observatory, count as missing.
        """
        try:
            status = self._path.stat()
        except OSError:
            return None
        stamp = (status.st_mtime_ns, status.st_size)
        if self._cache is None or self._cache[0] != stamp:
            self._cache = (stamp, self._stored_list(self._read()))
        return self._cache[1]

    def rejection(self) -> Rejection | None:
        """Return the last rejection since the stored list was adopted."""
        return self._read().rejection

    def adopt(self, message: bytes, now: datetime) -> TargetList:
        """Verify a signed list and store it; InputError refuses it, and the stored one stays."""
        with self._writing:
            record = self._read()
            try:
                listed, key = self._verify(message, record, now)
            except InputError as error:
                if message != record.message:
                    self._write(_Record(record.key, record.message, Rejection(now, str(error))))
                raise
            self._write(_Record(key, message))
            return listed

    def receive(self, message: bytes, now: datetime) -> bool:
        """Adopt a list that a transport delivered; return whether it is new.

        Without a known key, from enrollment or an adopted list, every list is ignored, since the
        broker could have made it.
        """
        record = self._read()
        if message == record.message or not (self._key or record.key):
            return False
        try:
            listed = self.adopt(message, now)
        except InputError as error:
            _log.warning("%s", error)
            return False
        _log.info("target list: version %d adopted", listed.version)
        return True

    def _verify(self, message: bytes, record: _Record, now: datetime) -> tuple[TargetList, bytes]:
        plain, key = TARGET_LIST.verify(message)
        if key is None:
            raise InputError("target list: not signed")
        if key != (self._key or record.key or key):
            raise InputError("target list: signed with a key that is not the observatory's")
        listed = TARGET_LIST.decode(plain)
        stored = self._stored_list(record)
        if stored is not None and listed.version <= stored.version:
            raise InputError(
                f"target list: version {listed.version} is not newer than {stored.version}"
            )
        if listed.expires <= now:
            raise InputError(f"target list: expired on {listed.expires:%Y-%m-%d}")
        if listed.not_before is not None and listed.not_before > now:
            raise InputError(
                f"target list: not valid before {listed.not_before:%Y-%m-%d %H:%M} UTC"
            )
        validate_targets(listed)
        return listed, key

    def _stored_list(self, record: _Record) -> TargetList | None:
        """Return a record's list, None if damaged or of another observatory."""
        is_foreign = self._key is not None and record.key not in {b"", self._key}
        if is_foreign or not record.message:
            return None
        try:
            return TARGET_LIST.unpack(record.message)[0]
        except InputError as error:
            _warn_once(f"{self._path}: damaged: {error}")
            return None

    def _read(self) -> _Record:
        try:
            return read_record(self._path, _Record) or _Record()
        except ConfigError as error:
            _warn_once(str(error))
            return _Record()

    def _write(self, record: _Record) -> None:
        try:
            write_record(self._path, record)
        except ConfigError as error:
            raise InputError(str(error)) from error


def _warn_once(text: str) -> None:
    """Log a fault of the file once in this process: it is read every few seconds."""
    if text not in _SAID:
        _SAID.add(text)
        _log.warning("%s", text)

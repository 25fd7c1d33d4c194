"""The record of a data folder: which files it has, so that a lost one is named, not replaced.

`installation.json` names the observatory, and for each file that cannot be replaced its
generation, or for a key the public half. SQLite and a missing key would start anew in silence:
all agents, their keys and what was published would be forgotten.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import msgspec

from netwatch.model.errors import ConfigError, StoreError, os_errors_as
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.storage.origin import find_damage, mark_origin, read_origin
from netwatch.storage.private_files import FOLDER_MODE, write_private
from netwatch.storage.sqlite_file import DamagedError, UnavailableError, rename_damaged

_LOG = logging.getLogger(__name__)
RECORD_FILE = "installation.json"
"""Name of the record in the data folder."""
_MISSING, _EMPTY = "is missing", "is empty"
_FOREIGN, _OLDER = "is of another observatory", "is an older copy"
_EXAMINED_BYTES = 256 * 1024 * 1024
"""Size up to which a database is read at every start: about a second. `store check` reads all."""
_T = TypeVar("_T")


class LostError(StoreError):
    """Raised when a file that cannot be replaced is missing, damaged, foreign or outdated."""


class _Record(msgspec.Struct, frozen=True):
    """`is_rebuilt`: an earlier record was lost, so what was in it is not known."""

    observatory: str
    generations: dict[str, int] = {}
    keys: dict[str, str] = {}
    is_rebuilt: bool = False


_DECODER = msgspec.json.Decoder(_Record)


class Installation:
    """The record of one data folder; processes and threads may share it.

    Args:
        folder: the data folder, created if missing.
        databases: the names of those that have an origin.

    Raises:
        StoreError: from every method, if the record cannot be read or written.
    """

    def __init__(self, folder: Path, databases: Sequence[str]) -> None:
        self._folder = folder
        self._path = folder / RECORD_FILE
        self._databases = databases
        self._record = self._read() or self._create()

    def open(self, name: str, open_file: Callable[[Path], _T]) -> _T:
        """Open a database that cannot be replaced; the first time, it is created.

        Raises:
            LostError: it is missing, damaged, older than before, or of another observatory; the
                text says what the operator can do.
        """
        path = self._folder / name
        if fault := self._fault(name):
            raise self._lost(name, fault)
        try:
            opened = open_file(path)
        except DamagedError as error:
            raise self._lost(name, str(error).removeprefix(f"{path}: ")) from error
        self.mark(name)
        return opened

    def open_replaceable(self, name: str, open_file: Callable[[Path], _T]) -> _T:
        """Open a database that is started anew if it is lost; log one line if it was.

        Raises:
            LostError: it is of another observatory.
        """
        fault = self._fault(name)
        if fault == _FOREIGN:
            raise self._lost(name, fault)
        if fault in {_MISSING, _EMPTY, _OLDER}:  # its class logs damage, and repairs it
            _LOG.error("%s: %s; going on with what there is", self._folder / name, fault)
        opened = open_file(self._folder / name)
        self.mark(name)
        return opened

    def examine(self, name: str) -> None:
        """Read all of a database if it is small enough; LostError if something is wrong with it."""
        path = self._folder / name
        fault = self._fault(name)
        if not fault and path.exists() and path.stat().st_size <= _EXAMINED_BYTES:
            fault = find_damage(path)
        if fault:
            raise self._lost(name, fault)

    def mark(self, name: str) -> None:
        """Record that a database of this folder exists, and how old it is."""
        known = self._record.generations.get(name, 0)
        path = self._folder / name
        try:
            generation = mark_origin(path, self._record.observatory, above=max(known - 1, 0))
            if generation > known:
                self._write_generation(name, generation)
        except UnavailableError as error:
            _LOG.warning("%s; its age is recorded the next time", error)

    def open_key(self, name: str, load: Callable[[Path], _T]) -> _T:
        """Load a key that was here before; LostError names what the operator can do."""
        path = self._folder / name
        if not path.exists():
            raise self._lost(name, _MISSING)
        try:
            return load(path)
        except ConfigError as error:
            raise self._lost(name, str(error).removeprefix(f"{path}: ")) from error

    def record_key(self, name: str, public: bytes) -> None:
        """Record a key by its public half; LostError if there was another one before."""
        if self.recorded_key(name) not in {None, public}:
            raise self._lost(name, "is another key than before")
        if name not in self._record.keys:
            keys = self._newest().keys | {name: public.hex()}
            self._write(msgspec.structs.replace(self._newest(), keys=keys))

    def recorded_key(self, name: str) -> bytes | None:
        """Return the public half of a key that was here, None if none was."""
        text = self._record.keys.get(name)
        return None if text is None else bytes.fromhex(text)

    def accept(self, name: str, now: datetime) -> str:
        """Go on with a file as it is; return what that means, empty if nothing was wrong.

        A damaged file is renamed, and a missing one will be created.
        """
        path = self._folder / name
        fault = self._fault(name) or find_damage(path)
        if not fault:
            return ""
        if fault in {_FOREIGN, _OLDER}:
            known = self._record.generations.get(name, 0)
            generation = mark_origin(path, self._record.observatory, above=known)
            self._write_generation(name, generation)
            return f"{fault}, and counts from now on"
        renamed = f"; renamed to {rename_damaged(path, now).name}" if path.exists() else ""
        self._write_generation(name, 0)
        return f"{fault}{renamed}; the next start creates an empty one"

    def accept_key(self, name: str, now: datetime, *, is_sound: bool) -> str:
        """Go on with a key as it is, or without a damaged one; return what that means."""
        newest = self._newest()
        keys = {key: value for key, value in newest.keys.items() if key != name}
        self._write(msgspec.structs.replace(newest, keys=keys))
        path = self._folder / name
        if path.exists() and not is_sound:
            renamed = rename_damaged(path, now).name
            return f"is damaged; renamed to {renamed}; a new one is created when it is needed"
        return "counts from now on" if path.exists() else "a new one is created when it is needed"

    def _fault(self, name: str) -> str:
        """Return what is wrong with a database, empty if it is the same as before."""
        known = self._record.generations.get(name)
        path = self._folder / name
        try:
            origin = read_origin(path)
        except DamagedError as error:
            return str(error).removeprefix(f"{path}: ")
        if origin is None:
            expected = self._record.is_rebuilt if known is None else known > 0
            what = _EMPTY if path.exists() else _MISSING
            return what if expected else ""
        if origin.observatory not in {"", self._record.observatory}:
            return _FOREIGN
        return _OLDER if origin.generation < (known or 0) else ""

    def _lost(self, name: str, fault: str) -> LostError:
        return LostError(
            f"{self._folder / name}: {fault}; restore the data folder from a backup,"
            f" or accept it: netwatch store accept {name} --data {self._folder}"
        )

    def _read(self) -> _Record | None:
        """Return the record, None if it is missing or damaged."""
        with os_errors_as(StoreError, f"{self._path}: cannot be read"):
            content = self._path.read_bytes() if self._path.exists() else b""
        text, _, digest = content.strip().rpartition(b"\n")
        if sha256(text).hexdigest().encode() != digest:
            return None
        return decode_foreign(text, _DECODER.decode, what=str(self._path), kind=StoreError)

    def _create(self) -> _Record:
        """Write a new record, of the observatory that the databases name."""
        origins = []
        for name in self._databases:
            with suppress(DamagedError):
                origins.append(read_origin(self._folder / name))
        names = [origin.observatory for origin in origins if origin and origin.observatory]
        is_rebuilt = bool(names) or self._path.exists()
        record = _Record(next(iter(names), secrets.token_hex(8)), is_rebuilt=is_rebuilt)
        if is_rebuilt:
            _LOG.error("%s: was missing or damaged; made again from the databases", self._path)
        with os_errors_as(StoreError, f"{self._path}: cannot be written"):
            self._folder.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            # Processes of one observatory may start at once: the first record counts.
            write_private(self._path, _encode(record), overwrite=is_rebuilt)
        return self._read() or record

    def _newest(self) -> _Record:
        return self._read() or self._record

    def _write_generation(self, name: str, generation: int) -> None:
        record = self._newest()
        generations = record.generations | {name: generation}
        self._write(msgspec.structs.replace(record, generations=generations))

    def _write(self, record: _Record) -> None:
        with os_errors_as(StoreError, f"{self._path}: cannot be written"):
            write_private(self._path, _encode(record))
        self._record = record


def _encode(record: _Record) -> bytes:
    """Return JSON and, on a line of its own, its SHA-256."""
    text = msgspec.json.encode(record)
    return text + b"\n" + sha256(text).hexdigest().encode() + b"\n"

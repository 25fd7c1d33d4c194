"""Imports batches from an export file, with the same checks as for received ones."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.ingest import Ingest
from netwatch.model.errors import InputError
from netwatch.protocols import Message
from netwatch.wire.ack import Ack
from netwatch.wire.batch_codec import unpack_batch
from netwatch.wire.export import FRAME_HEADER_BYTES, FileKind, read_messages
from netwatch.wire.topics import batch_topic

_BATCHES_PER_TRANSACTION = 100


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """Result of an import; `problem` is why the file was not read to its end, empty if it was."""

    acks: tuple[Ack, ...]
    read: int
    problem: str = ""


def import_batches(
    path: Path,
    ingest: Ingest,
    closer: BinCloser,
    *,
    progress: Callable[[float], object] = lambda _: None,
) -> ImportedFile:
    """Store the valid batches of an export; raises StoreError if that fails. Blocks.

    A batch is stored if it would be over the network, whatever the origin of the file. Importing
    a file twice changes nothing. Batches before damage are stored. `progress` is called with the
    share done, 0 to 1.
    """
    reader = _Reader(path)
    messages = reader.messages()
    acks: list[Ack] = []
    while chunk := list(islice(messages, _BATCHES_PER_TRANSACTION)):
        acks.extend(ingest.ingest(chunk, closer))
        progress(reader.share)
    return ImportedFile(tuple(acks), reader.count, reader.problem)


class _Reader:
    """Reads a file; damage ends it early and is stored in `problem`."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self.problem = ""
        self._path = path
        self._bytes = 0
        self._size = path.stat().st_size if path.is_file() else 0

    @property
    def share(self) -> float:
        return min(self._bytes / self._size, 1.0) if self._size else 1.0

    def messages(self) -> Iterator[Message]:
        try:
            for payload in read_messages(self._path, FileKind.EXPORT):
                self.count += 1
                self._bytes += len(payload) + FRAME_HEADER_BYTES
                yield Message(batch_topic(_sender(payload)), payload)
        except InputError as error:
            self.problem = str(error)


def _sender(payload: bytes) -> str:
    """Return the sender of a batch; ingest refuses what is not a batch."""
    try:
        return unpack_batch(payload).vantage.id
    except InputError:
        return "unknown"

"""Imports batches from an export file, with the same checks as for received ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from netwatch.collector.ingest import Ingest
from netwatch.model.errors import InputError
from netwatch.protocols import Message
from netwatch.wire.ack import Ack
from netwatch.wire.batch_codec import OUTLINE
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
    *,
    closed_until: datetime,
    progress: Callable[[float], object] = lambda _: None,
) -> ImportedFile:
    """Store the valid batches of an export; raises StoreError if that fails. Blocks.

    A batch is stored if it would be over the network, whatever the origin of the file. Importing
    a file twice changes nothing. Batches before damage are stored. Bins before `closed_until` are
    counted again. `progress` is called with the share done, 0 to 1.
    """
    payloads = read_messages(path, FileKind.EXPORT)
    # A pipe has no size.
    size = path.stat().st_size if path.is_file() else 0
    acks: list[Ack] = []
    read = consumed = 0
    problem, is_ended = "", False
    while not is_ended:
        messages: list[Message] = []
        try:
            for payload in islice(payloads, _BATCHES_PER_TRANSACTION):
                messages.append(Message(batch_topic(_sender(payload)), payload))
                consumed += FRAME_HEADER_BYTES + len(payload)
        except InputError as error:
            problem = str(error)
        is_ended = len(messages) < _BATCHES_PER_TRANSACTION
        if messages:
            read += len(messages)
            acks += _ingest_all(ingest, messages, closed_until)
            progress(min(consumed / size, 1.0) if size else 1.0)
    return ImportedFile(tuple(acks), read, problem)


def _ingest_all(
    ingest: Ingest, messages: Sequence[Message], closed_until: datetime
) -> Iterator[Ack]:
    """Yield the acknowledgements; each call of `ingest` takes at least one message."""
    while messages:
        result = ingest.ingest(messages, closed_until)
        yield from result.acks
        messages = result.postponed


def _sender(payload: bytes) -> str:
    """Return the sender of a batch; ingest refuses what is not a batch."""
    try:
        return OUTLINE.unpack(payload)[0].vantage.id
    except InputError:
        return "unknown"

"""Takes in batches that came in a file instead of over a link, by the same door."""

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
from netwatch.wire.export import FRAME_HEADER_BYTES, read_export
from netwatch.wire.topics import batch_topic

_TOGETHER = 100


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file.

    Attributes:
        answers: what to tell whom.
        read: batches found in it.
        problem: one line about why not all of it could be read, empty where it could.
    """

    answers: tuple[Ack, ...]
    read: int
    problem: str = ""


def import_batches(
    path: Path,
    intake: Ingest,
    closer: BinCloser,
    *,
    progress: Callable[[float], object] = lambda _: None,
) -> Imported:
    """Keep the batches in an export and return what to tell whom. Blocks.

    Whoever brought the file vouches for nothing: a batch is kept if it would be over a link.
    Importing a file twice changes nothing. What stands before damage is kept. `progress` is
    told the share done, 0 to 1.

    Raises:
        StoreError: the inbox took nothing more.
    """
    reading = _Reading(path)
    messages = reading.messages()
    answers: list[Ack] = []
    while some := list(islice(messages, _TOGETHER)):
        answers.extend(intake.take(some, closer))
        progress(reading.share)
    return Imported(tuple(answers), reading.count, reading.problem)


class _Reading:
    """A file on its way in; damage ends it early and is remembered, not raised."""

    def __init__(self, path: Path) -> None:
        self.count = 0
        self.problem = ""
        self._path = path
        self._bytes = 0
        self._size = path.stat().st_size if path.is_file() else 0

    @property
    def share(self) -> float:
        """How much of the file was read, 0 to 1."""
        return min(self._bytes / self._size, 1.0) if self._size else 1.0

    def messages(self) -> Iterator[Message]:
        """Yield what the file holds as if its senders had sent it."""
        try:
            for message in read_export(self._path):
                self.count += 1
                self._bytes += len(message) + FRAME_HEADER_BYTES
                yield _as_heard(message)
        except InputError as error:
            self.problem = str(error)


def _as_heard(message: bytes) -> Message:
    """Return a message as if its sender had sent it; one that is none is judged by the intake."""
    try:
        sender = unpack_batch(message).vantage.id
    except InputError:
        sender = "unknown"
    return Message(batch_topic(sender), message)

"""Takes in batches that came in a file instead of over a link, by the same door."""

from itertools import islice
from pathlib import Path

from netwatch.collector.closer import Closer
from netwatch.collector.intake import Intake
from netwatch.model.errors import InputError
from netwatch.protocols import Message
from netwatch.wire.acknowledgement import Acknowledgement
from netwatch.wire.envelope import unpack_batch
from netwatch.wire.export import read_export
from netwatch.wire.topics import batch_topic

__all__ = ["import_batches"]

_TOGETHER = 100


def import_batches(path: Path, intake: Intake, closer: Closer) -> list[Acknowledgement]:
    """Keep the batches in an export and return what to tell whom. Blocks.

    Whoever brought the file vouches for nothing: a batch is kept if it would be over a link.
    Importing a file twice changes nothing.

    Raises:
        InputError: the file cannot be read, is no export, or is damaged; batches before the
            damage are kept.
        StoreError: the inbox took nothing more.
    """
    messages = (_as_heard(message) for message in read_export(path))
    answers: list[Acknowledgement] = []
    while some := list(islice(messages, _TOGETHER)):
        answers.extend(intake.take(some, closer))
    return answers


def _as_heard(message: bytes) -> Message:
    """Return a message as if its sender had sent it; one that is none is judged by the intake."""
    try:
        sender = unpack_batch(message).vantage.id
    except InputError:
        sender = "unknown"
    return Message(batch_topic(sender), message)

"""Takes the collector's word that batches are kept, from a link or from a file."""

from collections.abc import Iterable
from dataclasses import dataclass

from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import InputError
from netwatch.wire.ack import Ack, unpack_ack
from netwatch.wire.signing import ACKNOWLEDGEMENT, open_signed

COLLECTOR_KEY = "collector"
"""Under this name the spool remembers the collector's key."""


@dataclass(frozen=True, slots=True)
class ReceiptsResult:
    """What a file of receipts did.

    Attributes:
        forgotten: batches that left the spool.
        refused: batches that the collector will never take; they stay, and go no more.
        foreign: acknowledgements for other agents, which change nothing here.
        problem: one line about why not all of it was believed, empty where it was.
    """

    forgotten: int
    refused: int
    foreign: int
    problem: str = ""


def verify_ack(message: bytes, agent: str, spool: Spool, *, unsigned: bool = True) -> Ack | None:
    """Return an acknowledgement that is the collector's, None where it is for another agent.

    The first key that signs one is the collector's for good: a broker that forges them
    would have us forget what nobody has. Blocks.

    Args:
        message: as it came.
        agent: our id.
        spool: remembers the collector's key.
        unsigned: whether an unsigned one may do while no key is known.

    Raises:
        InputError: it is none, or not the collector's.
        StoreError: the spool cannot be read.
    """
    plain, key = open_signed(message, ACKNOWLEDGEMENT)
    answer = unpack_ack(plain)
    if answer.agent != agent:
        return None
    if (key is None and not unsigned) or not spool.pin_key(COLLECTOR_KEY, key):
        raise InputError("an acknowledgement is not signed with the collector's key")
    return answer


def apply_receipts(messages: Iterable[bytes], agent: str, spool: Spool) -> ReceiptsResult:
    """Let the spool forget what `messages` say is kept. Blocks.

    Raises:
        StoreError: the spool cannot be written.
    """
    forgotten = refused = foreign = 0
    problem = ""
    try:
        for message in messages:
            answer = verify_ack(message, agent, spool, unsigned=False)
            if answer is None:
                foreign += 1
                continue
            forgotten += spool.acknowledge(answer.stored)
            spool.refuse(answer.refused)
            refused += len(answer.refused)
    except InputError as error:
        problem = str(error)
    return ReceiptsResult(forgotten, refused, foreign, problem)

"""Verifies the collector's acknowledgements, from a transport or from a receipts file."""

from collections.abc import Iterable
from dataclasses import dataclass

from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import InputError
from netwatch.wire.ack import ACKNOWLEDGEMENT, Ack


@dataclass(frozen=True, slots=True)
class ReceiptsResult:
    """The effect of a receipts file, in batches; refused ones stay and are no longer sent.

    `foreign` acknowledgements are for other agents. `problem` is why reading stopped early, if so.
    """

    deleted: int
    refused: int
    foreign: int
    problem: str = ""


def verify_ack(
    message: bytes, agent: str, spool: Spool, *, allow_unsigned: bool = True
) -> Ack | None:
    """Return the collector's acknowledgement, None if it is for another agent. Blocks.

    The key of the first signed acknowledgement is pinned: with forged ones, a broker could make
    the agent delete batches that nobody stored. Without a known key, an unsigned one is accepted if
    `allow_unsigned`.

    Raises:
        InputError: it is not an acknowledgement, or not the collector's.
        StoreError: the spool cannot be read.
    """
    plain, key = ACKNOWLEDGEMENT.verify(message)
    if key is None and spool.get_meta(MetaKey.COLLECTOR) is not None:
        raise InputError("acknowledgement: not signed")
    ack = ACKNOWLEDGEMENT.decode(plain)
    if ack.agent != agent:
        return None
    if (key is None and not allow_unsigned) or not spool.pin_key(MetaKey.COLLECTOR, key):
        raise InputError("acknowledgement: not signed with the collector's key")
    return ack


def apply_receipts(messages: Iterable[bytes], agent: str, spool: Spool) -> ReceiptsResult:
    """Delete the acknowledged batches; raises StoreError if that fails. Blocks."""
    deleted = refused = foreign = 0
    problem = ""
    try:
        for message in messages:
            ack = verify_ack(message, agent, spool, allow_unsigned=False)
            if ack is None:
                foreign += 1
                continue
            deleted += spool.acknowledge(ack.stored)
            spool.refuse(ack.refused)
            refused += len(ack.refused)
    except InputError as error:
        problem = str(error)
    return ReceiptsResult(deleted, refused, foreign, problem)

"""What an agent says about its being there: on arrival, on leaving, and in its last will.

The message is JSON, signed with the agent's key for this purpose alone, so that nobody can
declare somebody else's agents dead. `session` and `connection` order what an agent says: a will
that comes late is older than the birth that followed it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from netwatch.model.errors import InputError
from netwatch.wire.batch_codec import SEQUENCE_LIMIT

_LARGEST = 1024
_Count = Annotated[int, msgspec.Meta(ge=0, lt=SEQUENCE_LIMIT)]
_Word = Annotated[str, msgspec.Meta(max_length=64)]


@dataclass(frozen=True, slots=True)
class PresenceMessage:
    """One statement.

    Attributes:
        state: `up` on arrival, `stop` on leaving, `lost` in the last will.
        boot: which run of the machine this is: random, and different for each agent.
        session: counts the starts of the agent.
        connection: counts the connections of this life.
        uptime: seconds that the machine has been up; in a will, as of the connection.
        transport: the way that the connection takes.
        reason: on `stop`, the reason: `shutdown`, `pause`, `update` or `sleep`.
    """

    state: Literal["up", "lost", "stop"]
    boot: _Word = ""
    session: _Count = 0
    connection: _Count = 0
    uptime: float = 0.0
    transport: _Word = ""
    reason: _Word = ""

    @property
    def order(self) -> tuple[int, int]:
        """What orders the statements of one agent."""
        return self.session, self.connection


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PresenceMessage).decode


def pack_presence(presence: PresenceMessage) -> bytes:
    """Return `presence` as a message, unsigned."""
    return _encode(presence)


def unpack_presence(message: bytes) -> PresenceMessage:
    """Return the statement in an unsigned message.

    Raises:
        InputError: it is none.
    """
    if len(message) > _LARGEST:
        raise InputError(f"presence: {len(message)} bytes are too many")
    try:
        return _decode(message)
    except msgspec.DecodeError as error:
        raise InputError(f"presence: {error}") from error

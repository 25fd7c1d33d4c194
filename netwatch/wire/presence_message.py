"""Presence messages: an agent is online, has stopped, or (as its MQTT will) is lost.

JSON, signed with the agent's key for this purpose, so that no one can report another's agent as
lost. Session and connection numbers order the messages: a late will is older than the birth that
followed it.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from netwatch.model.text import WORD_PATTERN
from netwatch.wire.batch_codec import SEQUENCE_LIMIT
from netwatch.wire.message_format import MessageFormat

_Count = Annotated[int, msgspec.Meta(ge=0, lt=SEQUENCE_LIMIT)]
_Word = Annotated[str, msgspec.Meta(max_length=64, pattern=WORD_PATTERN)]
PresenceState = Literal["up", "lost", "stop"]
"""Connected, lost (the will), or exited cleanly."""


@dataclass(frozen=True, slots=True)
class PresenceMessage:
    """One change of an agent's presence.

    Attributes:
        state: `up` on connecting, `stop` on a clean exit, `lost` in the will.
        boot: identifies the machine's boot; random, and different for each agent.
        session: counts the agent's starts.
        connection: counts the connections of this session.
        uptime: seconds since boot; in a will, as of the connection.
        transport: name of the transport in use.
        reason: of a `stop`: `shutdown`, `pause`, `update` or `sleep`.
    """

    state: PresenceState
    boot: _Word = ""
    session: _Count = 0
    connection: _Count = 0
    uptime: float = 0.0
    transport: _Word = ""
    reason: _Word = ""

    @property
    def order(self) -> tuple[int, int]:
        """Sorts the messages of one agent."""
        return self.session, self.connection


PRESENCE: MessageFormat[PresenceMessage] = MessageFormat(
    "presence",
    b"netwatch-presence-v1\0",
    msgspec.json.encode,
    msgspec.json.Decoder(PresenceMessage).decode,
    limit=1024,
)

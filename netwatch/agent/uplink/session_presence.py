"""Builds MQTT birth, will and offline messages, ordered by session and connection counters.

The order does not depend on the wall clock, which may be stepped at any time.
"""

from collections.abc import Callable
from datetime import datetime

from netwatch.agent.clock import boot_id, monotonic_seconds
from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import StoreError
from netwatch.protocols import Message
from netwatch.wire.presence_message import PRESENCE, PresenceMessage, PresenceState
from netwatch.wire.topics import presence_topic


class AgentSession:
    """One run of an agent's process; `number` counts the runs."""

    def __init__(self, agent: str, number: int, sign: Callable[[bytes], bytes]) -> None:
        self.agent = agent
        self._number = number
        self._sign = sign
        self._boot = boot_id(agent)
        self._connection = 0

    def will(self, transport: str) -> Message:
        """Return the will of the next connection, and count that connection."""
        self._connection += 1
        return self._message("lost", transport)

    def birth(self, transport: str) -> Message:
        """Return the message to publish once connected."""
        return self._message("up", transport)

    def clean_offline(self, transport: str, reason: str) -> Message:
        """Return the message to publish before a clean exit."""
        return self._message("stop", transport, reason)

    def _message(self, state: PresenceState, transport: str, reason: str = "") -> Message:
        presence = PresenceMessage(
            state=state,
            boot=self._boot,
            session=self._number,
            connection=self._connection,
            uptime=round(monotonic_seconds(), 1),
            transport=transport,
            reason=reason,
        )
        payload = self._sign(PRESENCE.pack(presence))
        return Message(presence_topic(self.agent), payload, retained=True)


def start_session(
    agent: str, spool: Spool, now: datetime, sign: Callable[[bytes], bytes] = bytes
) -> AgentSession:
    """Return this run's session, with a higher number than every earlier one. Blocks.

    The number is at least the current time, so that numbers also grow after a spool was lost.
    """
    number = max(int(now.timestamp()), 1)
    try:
        last = spool.get_meta(MetaKey.SESSION)
        number = max(number, int(last) + 1 if last else 1)
        spool.set_meta(MetaKey.SESSION, str(number).encode())
    except StoreError:
        pass  # the failing disk is logged elsewhere, and the time usually suffices
    return AgentSession(agent, number, sign)

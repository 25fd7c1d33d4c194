"""What an agent says of its own being there, in an order that no clock can upset."""

from collections.abc import Callable
from datetime import datetime

from netwatch.agent.clock import boot_id, monotonic_seconds
from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import StoreError
from netwatch.protocols import Message
from netwatch.wire.presence_message import PresenceMessage, pack_presence
from netwatch.wire.topics import presence_topic

_LIFE = "life"


class AgentSession:
    """One run of an agent's process.

    Args:
        agent: the agent's id.
        number: counts the runs; a later one is higher.
        sign: turns a statement into a signed message.
    """

    def __init__(self, agent: str, number: int, sign: Callable[[bytes], bytes]) -> None:
        self.agent = agent
        self._number = number
        self._sign = sign
        self._boot = boot_id(agent)
        self._connection = 0

    def will(self, rung: str) -> Message:
        """Return what is to be said when the next connection breaks, and begin to count it."""
        self._connection += 1
        return self._say("lost", rung)

    def birth(self, rung: str) -> Message:
        """Return what is said when the connection is up."""
        return self._say("up", rung)

    def clean_offline(self, rung: str, why: str) -> Message:
        """Return what is said on leaving on purpose."""
        return self._say("stop", rung, why)

    def _say(self, state: str, rung: str, why: str = "") -> Message:
        said = PresenceMessage(
            state,  # type: ignore[arg-type] # one of the three words of this file
            self._boot,
            self._number,
            self._connection,
            round(monotonic_seconds(), 1),
            rung,
            why,
        )
        return Message(presence_topic(self.agent), self._sign(pack_presence(said)), retained=True)


def start_session(
    agent: str, spool: Spool, now: datetime, sign: Callable[[bytes], bytes] = bytes
) -> AgentSession:
    """Return this run's life, whose number is above all earlier ones; blocks.

    The wall clock has a say too, so that a new spool in the place of a lost one goes on.
    """
    number = max(int(now.timestamp()), 1)
    try:
        known = spool.get_meta(_LIFE)
        number = max(number, int(known) + 1 if known else 1)
        spool.set_meta(_LIFE, str(number).encode())
    except StoreError:
        pass  # a sick disk is told of elsewhere, and the clock's number does as a rule
    return AgentSession(agent, number, sign)

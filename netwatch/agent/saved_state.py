"""What a run of the agent leaves for the next one and for `netwatch agent status`."""

import msgspec

from netwatch.agent.gaps import Heartbeat
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.process_stats import ProcessStats
from netwatch.agent.spool.spool import Spool

STATE_KEY = "agent_state"
"""The spool's name for the state, as JSON."""


class SavedState(msgspec.Struct, frozen=True):
    """The agent's state when it last sealed a batch."""

    heartbeat: Heartbeat
    budget: DailyBudget
    stats: ProcessStats


def load_state(spool: Spool) -> SavedState | None:
    """Return the state, None if it is missing or damaged; raises StoreError."""
    try:
        return msgspec.json.decode(spool.get_meta(STATE_KEY) or b"", type=SavedState)
    except (msgspec.DecodeError, ValueError):
        return None


def save_state(spool: Spool, state: SavedState) -> None:
    """Replace the state; raises StoreError if that fails."""
    spool.set_meta(STATE_KEY, msgspec.json.encode(state))

"""What a run of the agent leaves for the next one and for `netwatch agent status`."""

import msgspec

from netwatch.agent.gaps import Heartbeat
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.process_stats import ProcessStats
from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool


class SavedState(msgspec.Struct, frozen=True):
    """The agent's state when it last sealed a batch."""

    heartbeat: Heartbeat
    budget: DailyBudget
    stats: ProcessStats


def load_state(spool: Spool) -> SavedState | None:
    """Return the state, None if it is missing or damaged; raises StoreError."""
    try:
        return msgspec.json.decode(spool.get_meta(MetaKey.AGENT_STATE) or b"", type=SavedState)
    except (msgspec.DecodeError, ValueError):
        return None


def save_state(spool: Spool, state: SavedState) -> None:
    """Replace the state; raises StoreError if that fails."""
    spool.set_meta(MetaKey.AGENT_STATE, msgspec.json.encode(state))

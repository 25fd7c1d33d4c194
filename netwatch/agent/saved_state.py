"""What a run of the agent leaves for the next one and for `netwatch agent status`."""

from contextlib import suppress
from typing import TypeVar

import msgspec

from netwatch.agent.gaps import Heartbeat
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.process_stats import ProcessStats
from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool
from netwatch.model.errors import InputError
from netwatch.model.foreign_bytes import decode_foreign


class RunState(msgspec.Struct, frozen=True):
    """What the next run continues from."""

    heartbeat: Heartbeat
    budget: DailyBudget


class SavedState(RunState, frozen=True):
    """The agent's state when it last sealed a batch."""

    stats: ProcessStats


_T = TypeVar("_T", bound=RunState)


def load_state(spool: Spool, kind: type[_T]) -> _T | None:
    """Return the state, None if it is missing or damaged; raises StoreError.

    As `RunState` it is loaded whatever its statistics are: those of another version of netwatch
    must not cost today's budget.
    """
    saved = spool.get_meta(MetaKey.AGENT_STATE) or b""
    with suppress(InputError):
        return decode_foreign(saved, msgspec.json.Decoder(kind).decode, what="state")
    return None


def save_state(spool: Spool, state: SavedState) -> None:
    """Replace the state; raises StoreError if that fails."""
    spool.set_meta(MetaKey.AGENT_STATE, msgspec.json.encode(state))

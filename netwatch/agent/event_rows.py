"""Agent events: rows about the agent itself, stored and sent like measurements."""

from datetime import datetime

from netwatch.model.failure import FailureScope
from netwatch.model.measurement import Measurement

EVENT_PREFIX = "@"
"""First character of an event's target; no target's id may start with it."""


def agent_event(
    name: str,
    time: datetime,
    failure: str | None = None,
    *,
    scope: str = FailureScope.LOCAL.value,
    seconds: float = 0.0,
) -> Measurement:
    """Return the event that `failure` holds from `time` on; None means that nothing does."""
    return Measurement(
        target=f"{EVENT_PREFIX}{name}",
        probe="agent",
        time=time,
        failure=failure,
        scope="" if failure is None else scope,
        host_responded=failure is None,
        seconds=seconds,
    )

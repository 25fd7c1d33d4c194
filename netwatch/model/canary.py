"""The name under which an agent asks for its page of a canary."""

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256

from netwatch.model.measurement import Target
from netwatch.model.time import floor_time

CANARY_GROUP = "canary"
"""Group of the targets that are canaries."""
CANARY_PATH = "/v1/canary/"
"""Path of the pages; the name follows."""
PLACEHOLDER = "{agent}"
"""What an agent replaces by its name of the hour in the path of a canary."""
_NOBODY = "-"
"""A name without a page."""


def canary_name(agent: str, at: datetime) -> str:
    """Return an agent's name in the hour of `at`: nobody can follow an agent from hour to hour."""
    hour = floor_time(at, timedelta(hours=1))
    return sha256(f"canary|{agent}|{hour:%Y-%m-%dT%H}".encode()).hexdigest()[:32]


def for_agent(target: Target, agent: str, at: datetime | None) -> Target:
    """Return the target as this agent probes it in the hour of `at`, the true time.

    An agent that does not know the time asks for no page of its own, since another hour's is wrong.
    """
    if target.group != CANARY_GROUP:
        return target
    name = _NOBODY if at is None else canary_name(agent, at)
    return replace(target, path=target.path.replace(PLACEHOLDER, name))

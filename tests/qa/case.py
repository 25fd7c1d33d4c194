"""What a row of the QA table says."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qa.bench import Bench, Watch
from qa.vantage import IT, Job

from netwatch.agent.health.health import HealthState

__all__ = ["Case", "Play", "Scene", "Seen", "failing", "well"]

Play = Callable[[Watch], Awaitable[None]]
Scene = Callable[[Bench], Awaitable[Job | tuple[Job, Play]]]
"""Sets a case up and returns what the vantage is to do, and what happens to it meanwhile."""


@dataclass(frozen=True)
class Seen:
    """How a target looks from a vantage: the last step's outcome and where it lies."""

    failure: str | None
    operation: str
    scope: str
    host_responded: bool


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: as field engineers call it.
        fault: how it is made, in words.
        scene: sets it up.
        seen: what the probe of the target must say.
        state: the vantage's health over IPv4, while it lasts.
        state6: over IPv6; `unknown` where it has no witness there.
        flags: what else the vantage must notice, and nothing besides.
        detail: a word that the last step must carry.
        look: the id of the target, or of the note, that is looked at.
        lab: whether it takes network namespaces.
    """

    name: str
    fault: str
    scene: Scene
    seen: Seen
    state: HealthState = HealthState.OK
    state6: HealthState = HealthState.UNKNOWN
    flags: frozenset[str] = frozenset()
    detail: str = ""
    look: str = IT
    lab: bool = False


def failing(failure: str, operation: str, scope: str, *, host_responded: bool = False) -> Seen:
    """Return how a failure looks; not host_responded unless the host gave an answer of its own."""
    return Seen(failure, operation, scope, host_responded)


def well(operation: str) -> Seen:
    """Return how a success looks whose last step is `operation`."""
    return Seen(None, operation, "", host_responded=True)

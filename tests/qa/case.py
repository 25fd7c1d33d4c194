"""A row of the QA table."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from qa.bench import Bench, Watch
from qa.vantage import SUBJECT, Job

from netwatch.agent.health.judge_health import HealthState

__all__ = ["Actions", "Case", "Outcome", "Scenario"]

Actions = Callable[[Watch], Awaitable[None]]
Scenario = Callable[[Bench], Awaitable[Job | tuple[Job, Actions]]]
"""Sets a case up; returns the vantage's job and, optionally, what happens meanwhile."""


@dataclass(frozen=True)
class Outcome:
    """The expected or actual measurement of a target: its last step, failure and scope."""

    failure: str | None
    operation: str
    scope: str
    host_responded: bool


@dataclass(frozen=True)
class Case:
    """One row.

    Attributes:
        name: the usual name of the fault.
        fault: how it is made, as text.
        scenario: sets it up.
        outcome: what the probe must measure.
        state: the vantage's health over IPv4 meanwhile.
        state6: the same over IPv6; `unknown` without IPv6 witnesses.
        flags: exactly the flags that the vantage must raise.
        detail: text that the last step's detail must contain.
        row: the id of the target, or of the event, that is compared.
        namespaces: whether it needs network namespaces.
    """

    name: str
    fault: str
    scenario: Scenario
    outcome: Outcome
    state: HealthState = HealthState.OK
    state6: HealthState = HealthState.UNKNOWN
    flags: frozenset[str] = frozenset()
    detail: str = ""
    row: str = SUBJECT
    namespaces: bool = False

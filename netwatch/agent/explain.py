"""What will be probed, how often, and what will be sent, before anything is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from netwatch.agent.health import rung_of
from netwatch.agent.politeness import BUDGETS, cost_of
from netwatch.config import AgentConfig
from netwatch.model.measurement import Target, Vantage

__all__ = ["Explained", "Explanation", "explain"]

_DAY = timedelta(days=1)
_SENT_BYTES = 10
"""Bytes that a measurement takes on the wire, measured by `benchmarks/ingest_rate.py`."""


@dataclass(frozen=True, slots=True)
class Explained:
    """One target: what is asked, where, how often a day, and what that costs."""

    target: str
    probe: str
    host: str
    port: int
    group: str
    times_a_day: int
    bytes_a_day: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that an agent with this configuration does.

    Attributes:
        targets: what is probed.
        bytes_a_day: what probing takes, at most `budget_bytes`.
        sent_bytes_a_day: what sending the results takes.
        budget_bytes: the day's limit for probing.
        sends: what a batch says, in plain words.
        never_sends: what it never says.
    """

    targets: tuple[Explained, ...]
    bytes_a_day: int
    sent_bytes_a_day: int
    budget_bytes: int
    sends: tuple[str, ...]
    never_sends: tuple[str, ...] = (
        "your name",
        "this machine's address or name",
        "what else this machine does",
        "where it is, beyond country and network",
    )


def explain(vantage: Vantage, targets: Sequence[Target], config: AgentConfig) -> Explanation:
    """Return what an agent of this configuration will do."""
    rows = tuple(_explain_target(target, config) for target in targets)
    times = sum(row.times_a_day for row in rows)
    wanted = sum(row.bytes_a_day for row in rows)
    budget = BUDGETS[config.budget]
    return Explanation(
        targets=rows,
        bytes_a_day=min(wanted, budget),
        sent_bytes_a_day=times * _SENT_BYTES,
        budget_bytes=budget,
        sends=(
            f"the agent's name: {vantage.id}",
            f"the country: {vantage.country or 'not told'}",
            f"the network's number (ASN): {vantage.asn or 'not told'}",
            "of each probe: the target's name, the time, how it went, how long each step took",
            "when the agent was off, and whether its own line worked",
        ),
    )


def _explain_target(target: Target, config: AgentConfig) -> Explained:
    """Return how often a target is asked, and what that costs."""
    period = config.period
    if rung_of(target) is not None:
        period = min(period, config.witness_period)
    times = int(_DAY / period)
    return Explained(
        target=target.id,
        probe=target.probe,
        host=target.host,
        port=target.port,
        group=target.group,
        times_a_day=times,
        bytes_a_day=times * cost_of(target.probe),
    )

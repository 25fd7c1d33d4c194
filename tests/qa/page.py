"""The QA table as a page of docs/lab.md."""

from itertools import chain
from pathlib import Path

from qa.case import Case
from qa.table import CASES

from netwatch.agent.health.judge_health import HealthState

__all__ = ["PAGE", "markdown", "with_table"]

PAGE = Path(__file__).parents[2] / "docs" / "lab.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- end of table -->\n"
_HEAD = ("case", "what is broken", "failure", "in", "scope", "host responded", "state", "made in")


def markdown() -> str:
    """Return the table, one row per case."""
    rows = chain((_HEAD, tuple("-" * len(name) for name in _HEAD)), map(_cells, CASES))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def with_table(page: str) -> str:
    """Return the page with the present table."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + _BEGIN + "\n" + markdown() + "\n" + _END + after


def _cells(case: Case) -> tuple[str, ...]:
    outcome = case.outcome
    return (
        case.name,
        case.fault,
        f"`{outcome.failure}`" if outcome.failure else "none",
        f"`{outcome.operation}`" if outcome.operation else "an event",
        outcome.scope or "none",
        "yes" if outcome.host_responded else "no",
        _state(case),
        "namespaces" if case.namespaces else "loopback",
    )


def _state(case: Case) -> str:
    """Return the states of both families, if they differ, and the flags."""
    text = f"`{case.state}`"
    if case.state6 not in {HealthState.UNKNOWN, case.state}:
        text += f", IPv6 `{case.state6}`"
    more = sorted(case.flags - {str(case.state)})
    return ", ".join([text, *(f"flag `{flag}`" for flag in more)])

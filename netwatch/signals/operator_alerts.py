"""Notices: who is to blame in a bin, in one line a kind, for the operator alone.

A dead target and a broken vantage are no outage, and nobody else finds them: they are named
here so that somebody mends them. What is cut or blocked becomes a series and an incident.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from netwatch.signals.attribution.faults import FaultKind, confirm_down, list_faults
from netwatch.signals.attribution.model import Attribution
from netwatch.signals.build_table import TargetCounts

_MOST_NAMED = 5


def fault_alerts(tabulated: TargetCounts, blame: Attribution) -> Iterator[tuple[str, str]]:
    """Yield (reason, line) for each kind of culprit that a bin shows.

    A target is called dead only where networks enough asked in vain: see `confirm_down`.
    """
    table = tabulated.heard
    down, _ = confirm_down(table, blame, np.zeros(table.shape[2], np.intp))
    findings = list_faults(blame)
    dead = [
        tabulated.targets[one.column].id
        for one in findings
        if one.culprit is FaultKind.TARGET and down[one.column]
    ]
    broken = [
        tabulated.vantages[one.row].id for one in findings if one.culprit is FaultKind.VANTAGE
    ]
    noisy = [tabulated.vantages[one.row].id for one in findings if one.culprit is FaultKind.NOISE]
    blocked = [
        tabulated.targets[one.column].id for one in findings if one.culprit is FaultKind.PATH
    ]
    kinds = (
        ("dead_target", dead, "answer nobody who asks: dead, or their network is out"),
        ("broken_vantage", broken, "lose what others reach, and do not count"),
        ("noisy_vantage", noisy, "report what nobody else sees, and do not count"),
        ("blocked_path", blocked, "are lost from one network, and answer the others"),
    )
    for reason, names, words in kinds:
        if names:
            yield reason, f"{_names(names)} {words}"


def _names(names: Sequence[str]) -> str:
    """Return the first few names, each once, and how many more there are."""
    different = sorted(set(names))
    more = len(different) - _MOST_NAMED
    shown = ", ".join(different[:_MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown

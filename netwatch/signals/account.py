"""Account: what the measurements of an interval say, once it is known who is to blame."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin
from netwatch.signals.blame import Blame, assign_blame
from netwatch.signals.blocking import count_blocking
from netwatch.signals.reachability import count_reachability, floor_time
from netwatch.signals.speed import count_speed
from netwatch.signals.tabulate import Tabulated, tabulate
from netwatch.signals.witness import count_cells, trust_vantages

__all__ = ["Row", "account"]

Row = tuple[Vantage, Measurement]
"""A measurement and the vantage that it came from."""


def account(rows: Iterable[Row], targets: Mapping[str, Target], *, width: timedelta) -> list[Bin]:
    """Return every series that `rows` give, in bins of `width`, by time, then series.

    Each bin is judged on its own and from its rows alone, so that counting again, or later
    with more, needs nothing remembered. Measurements of a broken vantage count for nothing,
    neither as success nor as trial; `netwatch.signals.witness` states the rule.
    """
    by_time: dict[datetime, list[Row]] = {}
    for row in rows:
        by_time.setdefault(floor_time(row[1].time, width), []).append(row)
    found: list[Bin] = []
    for time in sorted(by_time):
        found.extend(_account_bin(time, by_time[time], targets, width))
    return sorted(found, key=lambda entry: (entry.time, entry.series))


def _account_bin(
    time: datetime, rows: list[Row], targets: Mapping[str, Target], width: timedelta
) -> list[Bin]:
    """Return the series of one bin."""
    heard = tabulate(rows, targets, succeeded=lambda one: one.alive)
    served = tabulate(rows, targets, succeeded=lambda one: one.failure is None)
    if heard is None or served is None:
        return []
    blame = assign_blame(heard.table)
    believed = _believed_pairs(heard, blame)
    counted = [one for vantage, one in rows if (vantage, one.target) in believed]
    trust = trust_vantages(heard.table, blame).tolist()
    trusted = {one for one, holds in zip(heard.vantages, trust, strict=True) if holds}
    return [
        *count_reachability(counted, targets, width=width),
        *count_blocking(time, served),
        *count_speed(time, rows, targets, trusted=trusted),
    ]


def _believed_pairs(heard: Tabulated, blame: Blame) -> set[tuple[Vantage, str]]:
    """Return the pairs of vantage and target that count towards reachability."""
    cells = count_cells(heard.table, blame)
    return {
        (heard.vantages[row], heard.targets[column].id)
        for row, column in zip(*(axis.tolist() for axis in cells.nonzero()), strict=True)
    }

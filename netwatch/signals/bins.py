"""Account: what the measurements of an interval say, once it is known who is to blame."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from netwatch.model.measurement import Measurement, Target, Vantage
from netwatch.model.series import Bin
from netwatch.model.time import floor_time
from netwatch.signals.attribution.model import Attribution, attribute
from netwatch.signals.attribution.trust import countable_cells, trust_vantages
from netwatch.signals.blocking import count_blocking
from netwatch.signals.build_table import TargetCounts, build_table
from netwatch.signals.operator_alerts import fault_alerts
from netwatch.signals.reachability import count_reachability
from netwatch.signals.relative_speed import count_speed

_Name = tuple[str, str, int]

Row = tuple[Vantage, Measurement]
"""A measurement and the vantage that it came from."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """The tables of a bin, and who is to blame in them."""

    tabulated: TargetCounts
    blame: Attribution


def build_bins(
    rows: Iterable[Row],
    targets: Mapping[str, Target],
    *,
    width: timedelta,
    weights: Mapping[tuple[str, str], float] | None = None,
    tell: Callable[[str, str], None] = lambda *_: None,
) -> list[Bin]:
    """Return every series that `rows` give, in bins of `width`, by time, then series.

    Each bin is judged on its own and from its rows alone, so that counting again, or later
    with more, needs nothing remembered. Measurements of a broken vantage count for nothing,
    neither as success nor as trial; `netwatch.signals.attribution.trust` states the rule.

    Args:
        rows: the measurements.
        targets: the target book.
        width: of a bin.
        weights: how far a vantage is believed, 0 to 1, by its name and country; 1 where that
            is not told. Who weighs nothing counts for nothing.
        tell: hears of dead targets and broken vantages, a reason and one line each.
    """
    known = weights or {}
    by_time: dict[datetime, list[Row]] = {}
    for row in rows:
        if known.get((row[0].id, row[0].country), 1.0) > 0:
            by_time.setdefault(floor_time(row[1].time, width), []).append(row)
    found: list[Bin] = []
    for time in sorted(by_time):
        tabulated = build_table(by_time[time], targets, weights=known)
        if tabulated is None:
            continue
        blame = attribute(tabulated.heard)
        for reason, line in fault_alerts(tabulated, blame):
            tell(reason, line)
        judged = _Judged(tabulated, blame)
        found.extend(_account_bin(time, by_time[time], targets, width=width, judged=judged))
    return found


def _account_bin(
    time: datetime,
    rows: list[Row],
    targets: Mapping[str, Target],
    *,
    width: timedelta,
    judged: _Judged,
) -> list[Bin]:
    """Return the series of one bin."""
    tabulated, blame = judged.tabulated, judged.blame
    believed = _believed_pairs(tabulated, blame)
    counted = [one for vantage, one in rows if (_name(vantage), one.target) in believed]
    trust = trust_vantages(tabulated.heard, blame).tolist()
    trusted = {one for one, holds in zip(tabulated.vantages, trust, strict=True) if holds}
    # In the order of their names, each in order by itself.
    return [
        *count_blocking(time, tabulated),
        *count_reachability(counted, targets, width=width),
        *count_speed(time, rows, targets, trusted=trusted),
    ]


def _believed_pairs(tabulated: TargetCounts, blame: Attribution) -> set[tuple[_Name, str]]:
    """Return the pairs of vantage and target that count towards reachability."""
    table = tabulated.heard
    chosen = countable_cells(table, blame)
    names = [_name(vantage) for vantage in tabulated.vantages]
    return {
        (names[row], tabulated.targets[column].id)
        for row, column in zip(
            table.cells.vantage[chosen].tolist(), table.cells.target[chosen].tolist(), strict=True
        )
    }


def _name(vantage: Vantage) -> _Name:
    """Return what tells a vantage from others, quick to compare."""
    return vantage.id, vantage.country, vantage.asn

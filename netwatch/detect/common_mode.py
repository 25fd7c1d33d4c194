"""Common-mode filter: a signal that moves in all countries at once is itself at fault.

For each country the others are the control group: the median over them of the signal's shift
from ordinary should be zero. Where it is far larger than usual, the signal is not used in that
interval.
"""

from datetime import timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray

_MIN_OTHERS = 3
"""Countries in a control group; fewer would let their own events speak for the world."""
_MAX_SCALES = 5.0
"""Shift of the control group, in usual shifts, above which a signal is at fault: with it, a
prototype's precision rose from 0.88 to 0.98 on simulated outages."""
_MIN_SHIFT = 0.02
"""Share of ordinary; smaller shifts of a control group are never a fault."""
_HALF_LIFE = timedelta(days=7)
"""Half-life of a signal's usual shift: a week holds every hour of the week once."""
_SITE_LOSS = 0.3
"""Share of ordinary that the median site of a country must lose for a common outage."""
_MIN_SITES = 4
"""Sites of a country below which a common outage cannot be distinguished from blocking."""


class Groups:
    """Signal and country of every row.

    Attributes:
        signal, country: number of each row's signal and country; -1 for no country.
        site: rows about a domain.
        signals, countries: numbers of signals and countries.
    """

    def __init__(self, signal: RowArray, country: RowArray, site: Bools) -> None:
        self.signal = signal
        self.country = country
        self.site = site
        self.signals = int(signal.max(initial=-1)) + 1
        self.countries = int(country.max(initial=-1)) + 1


def country_shifts(groups: Groups, ratio: Floats, normal: Bools) -> Floats:
    """Return the shift of each signal from ordinary in each country, NaN without data.

    The common-mode filter needs no more of the rows, so rows of different countries may be
    evaluated in different processes.

    Args:
        groups: signal and country of the rows.
        ratio: current over ordinary, NaN for no data.
        normal: rows that were ordinary before; others would add their own events.

    Returns:
        The median over rows of ratio - 1, shape (signals, countries).
    """
    use = normal & np.isfinite(ratio) & (groups.country >= 0)
    medians = [
        _country_medians(groups, ratio, use & (groups.signal == signal))
        for signal in range(groups.signals)
    ]
    return np.array(medians).reshape(groups.signals, groups.countries)


def rows_at_fault(groups: Groups, faulty: Bools) -> Bools:
    """Return the rows of the signals that are `faulty` in a country, (signals, countries)."""
    if not faulty.any():
        return np.zeros(len(groups.signal), dtype=bool)
    no_country = np.zeros((groups.signals, 1), dtype=bool)
    return np.asarray(np.hstack([faulty, no_country])[groups.signal, groups.country])


def faulty_signals(shifts: Floats, scale: Floats, width: timedelta) -> tuple[Bools, Floats]:
    """Return the countries in which each signal is at fault, and its usual shift after this bin.

    A leave-one-country-out test of each signal, with a running scale.

    Args:
        shifts: `country_shifts` of all countries, (signals, countries), in the same order in
            every interval; new ones come last.
        scale: usual size of the median shift of each signal known so far, (signals,).
        width: of the bin.
    """
    missing = max(len(shifts) - len(scale), 0)
    scale = np.concatenate([scale, np.full(missing, _MIN_SHIFT)])
    decay = float(1 - 0.5 ** (width / _HALF_LIFE))
    faulty = np.zeros(shifts.shape, dtype=bool)
    for signal, medians in enumerate(shifts):
        if np.isfinite(medians).sum() <= _MIN_OTHERS:
            continue
        shift = np.abs(_others_median(medians))
        bound = max(_MAX_SCALES * scale[signal], _MIN_SHIFT)
        faulty[signal] = shift > bound
        usual = min(float(np.nanmedian(shift)), bound)
        scale[signal] += decay * (usual - scale[signal])
    return faulty, scale


def common_site_outage(groups: Groups, ratio: Floats, normal: Bools) -> Bools:
    """Return the sites of countries in which most sites fell in the same interval.

    A blocked site is out alone. If its siblings go with it, the network or the vantages failed.
    """
    common = np.zeros(len(ratio), dtype=bool)
    use = normal & np.isfinite(ratio) & (groups.country >= 0) & groups.site
    if not use.any():
        return common
    for signal in range(groups.signals):
        mine = use & (groups.signal == signal)
        medians = _country_medians(groups, ratio, mine)
        counts = np.bincount(groups.country[mine], minlength=groups.countries)
        out = np.append((medians < -_SITE_LOSS) & (counts >= _MIN_SITES), False)
        common |= groups.site & (groups.signal == signal) & out[groups.country]
    return common


def _country_medians(groups: Groups, ratio: Floats, use: Bools) -> Floats:
    """Return the median shift from ordinary of each country's used rows, NaN without any."""
    order = np.lexsort((ratio[use], groups.country[use]))
    values, countries = ratio[use][order] - 1, groups.country[use][order]
    medians = np.full(groups.countries, np.nan)
    numbers, starts, counts = np.unique(countries, return_index=True, return_counts=True)
    low, high = starts + (counts - 1) // 2, starts + counts // 2
    medians[numbers] = (values[low] + values[high]) / 2
    return medians


def _others_median(medians: Floats) -> Floats:
    known = np.isfinite(medians)
    values = np.sort(medians[known])
    count = len(values)
    # Leaving out a value at or below the middle moves the median of the others one up.
    rank = np.searchsorted(values, medians)
    low, high = (count - 2) // 2, (count - 1) // 2
    low_at = np.where(rank <= low, low + 1, low)
    high_at = np.where(rank <= high, high + 1, high)
    others = (values[np.minimum(low_at, count - 1)] + values[np.minimum(high_at, count - 1)]) / 2
    return np.asarray(np.where(known, others, np.median(values)))

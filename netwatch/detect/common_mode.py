"""When a signal moves everywhere at once, the signal is at fault and not the world.

For each country the others are the control group: the median over them of how far the signal
is from ordinary should be nothing. Where it is far more than it usually is, that signal says
nothing in that interval.
"""

from datetime import timedelta

import numpy as np

from netwatch.arrays import Bools, Floats, RowArray

_LEAST_OTHERS = 3
"""Fewer other countries are no control group: their own events would speak for the world."""
_SCALES = 5.0
_LEAST_SHIFT = 0.02
_HALF_LIFE = timedelta(days=7)
_SITES_OUT = 0.3
_LEAST_SITES = 4


class Groups:
    """Which rows belong to which signal and country.

    Attributes:
        signal, country: number of each row's signal and country; -1 for no country.
        site: which rows are about a domain.
        signals, countries: how many there are.
    """

    def __init__(self, signal: RowArray, country: RowArray, site: Bools) -> None:
        self.signal = signal
        self.country = country
        self.site = site
        self.signals = int(signal.max(initial=-1)) + 1
        self.countries = int(country.max(initial=-1)) + 1


def country_shifts(groups: Groups, ratio: Floats, normal: Bools) -> Floats:
    """Return how far each signal is from ordinary in each country, NaN where nothing is known.

    This is all that the nuisance test needs to know of the rows, so that rows of different
    countries may be judged in different processes.

    Args:
        groups: signal and country of the rows.
        ratio: current over ordinary, NaN for no data.
        normal: rows that were ordinary before; others would only bring their own events.

    Returns:
        The median over rows of ratio - 1, shape (signals, countries).
    """
    use = normal & np.isfinite(ratio) & (groups.country >= 0)
    found = [
        _country_medians(groups, ratio, use & (groups.signal == signal))
        for signal in range(groups.signals)
    ]
    return np.array(found).reshape(groups.signals, groups.countries)


def rows_at_fault(groups: Groups, faulty: Bools) -> Bools:
    """Return which rows the signals `faulty` in a country, (signals, countries), stand for."""
    if not faulty.any():
        return np.zeros(len(groups.signal), dtype=bool)
    nowhere = np.zeros((groups.signals, 1), dtype=bool)
    return np.asarray(np.hstack([faulty, nowhere])[groups.signal, groups.country])


class CommonModeFilter:
    """Leave-one-country-out test of each signal, with a running scale.

    Attributes:
        scale: usual size of the median shift of each signal, shape (signals,).
    """

    def __init__(self, width: timedelta) -> None:
        self.scale: Floats = np.zeros(0)
        self._decay = float(1 - 0.5 ** (width / _HALF_LIFE))

    def faulty(self, shifts: Floats) -> Bools:
        """Return in which countries each signal is at fault in this interval, and learn from it.

        Args:
            shifts: what `country_shifts` found of all countries, (signals, countries), in the
                same order in every interval; new ones come last.
        """
        missing = len(shifts) - len(self.scale)
        self.scale = np.concatenate([self.scale, np.full(max(missing, 0), _LEAST_SHIFT)])
        bad = np.zeros(shifts.shape, dtype=bool)
        for signal, medians in enumerate(shifts):
            if np.isfinite(medians).sum() <= _LEAST_OTHERS:
                continue
            away = np.abs(_others_median(medians))
            bound = max(_SCALES * self.scale[signal], _LEAST_SHIFT)
            bad[signal] = away > bound
            usual = min(float(np.nanmedian(away)), bound)
            self.scale[signal] += self._decay * (usual - self.scale[signal])
        return bad


def common_site_outage(groups: Groups, ratio: Floats, normal: Bools) -> Bools:
    """Return which rows are sites of a country in which most sites fell in the same interval.

    A site is blocked when it alone is out. Where its siblings go with it, the network or the
    vantages are, and that is not for the sites to tell.
    """
    bad = np.zeros(len(ratio), dtype=bool)
    use = normal & np.isfinite(ratio) & (groups.country >= 0) & groups.site
    if not use.any():
        return bad
    for signal in range(groups.signals):
        mine = use & (groups.signal == signal)
        medians = _country_medians(groups, ratio, mine)
        counts = np.bincount(groups.country[mine], minlength=groups.countries)
        out = (medians < -_SITES_OUT) & (counts >= _LEAST_SITES)
        out = np.append(out, False)
        bad |= groups.site & (groups.signal == signal) & out[groups.country]
    return bad


def _country_medians(groups: Groups, ratio: Floats, use: Bools) -> Floats:
    """Return the median shift from ordinary of each country's used rows, NaN without any."""
    order = np.lexsort((ratio[use], groups.country[use]))
    values, countries = ratio[use][order] - 1, groups.country[use][order]
    medians = np.full(groups.countries, np.nan)
    names, starts, counts = np.unique(countries, return_index=True, return_counts=True)
    low, high = starts + (counts - 1) // 2, starts + counts // 2
    medians[names] = (values[low] + values[high]) / 2
    return medians


def _others_median(medians: Floats) -> Floats:
    """Return for every country the median over the other countries."""
    known = np.isfinite(medians)
    values = np.sort(medians[known])
    count = len(values)
    # Leaving out a value at or below the middle moves the median of the rest one up.
    place = np.searchsorted(values, medians)
    rest = count - 1
    low, high = (rest - 1) // 2, rest // 2
    low_at = np.where(place <= low, low + 1, low)
    high_at = np.where(place <= high, high + 1, high)
    found = (values[np.minimum(low_at, count - 1)] + values[np.minimum(high_at, count - 1)]) / 2
    everyone = np.median(values)
    return np.asarray(np.where(known, found, everyone))

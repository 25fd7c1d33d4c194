"""Series-bins a second that the detector judges, against the rule that IODA runs.

Both judge the same made-up series in the same run: our filter bin after bin as live, and
IODA's documented rule (current below 80 % of a 7-day median) in pandas rolling medians, which
has all bins at hand at once.

    python -m benchmarks.judge_rate [--series 2000] [--days 14] [--json]
"""

import argparse
import json
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from netwatch.detect.detector import BayesFilterDetector
from netwatch.model.entities import Entity, EntityKind, EntityTree
from netwatch.model.series import SeriesKey

WIDTH = timedelta(minutes=5)
START = datetime(2026, 1, 5, tzinfo=UTC)


def make_values(series: int, bins: int) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Return counts with a day's shape, shape (bins, series)."""
    random = np.random.default_rng(1)
    shape = 1 + 0.3 * np.sin(np.arange(bins) * 2 * np.pi / 288)[:, None]
    scale = random.lognormal(5, 1.5, series)[None, :]
    return random.poisson(shape * scale).astype(float)


def judge_all(values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", least: int) -> float:
    """Return the seconds that judging all bins after the first `least` takes."""
    bins, series = values.shape
    detector = BayesFilterDetector(EntityTree(), width=WIDTH, min_history=least * WIDTH)
    keys = [SeriesKey("probing", Entity(EntityKind.ASN, str(one + 1))) for one in range(series)]
    detector.ensure_rows(keys, START)
    none = np.full(series, np.nan)
    begun = 0.0
    for number in range(bins):
        if number == least:
            begun = time.perf_counter()
        detector.step_arrays(START + number * WIDTH, values[number], none)
    return time.perf_counter() - begun


def judge_by_median(values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> float:
    """Return the seconds that the median rule takes over all bins."""
    begun = time.perf_counter()
    frame = pd.DataFrame(values)
    ordinary = frame.rolling(2016, min_periods=288).median().shift(1)
    (frame < 0.8 * ordinary).to_numpy().sum()
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=2000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    least, bins = 2 * 288, options.days * 288
    values = make_values(options.series, bins)
    ours = options.series * (bins - least) / judge_all(values, least)
    theirs = options.series * bins / judge_by_median(values)
    rows = [("netwatch, bin after bin", ours), ("7-day median, pandas rolling", theirs)]
    if options.json:
        print(json.dumps(dict(rows) | {"ratio": ours / theirs}))
        return
    table = Table("series-bins judged", "a second", "ratio", title=f"{options.series} series")
    for name, rate in rows:
        table.add_row(name, f"{rate:,.0f}", f"{rate / theirs:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()

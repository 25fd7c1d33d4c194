"""Speed of the detector against its peers: python -m benchmarks.detection.speed [--quick].

Rows: one 5-minute step for 321,000 series (75,000 networks, 5,000 regions, 250 countries, four
signals); series-bins a second on one core, of the detector's arithmetic and of a whole backtest,
against IODA's rule in pandas rolling medians and against SARIMA in statsmodels (if installed);
the limit that the memory sets to the same arrays; growth with the number of series; what a second
worker adds to one backtest; and what reading a long file takes. Ratios are what counts: all rows
are measured in one run on one machine. A backtest does more than its peers: seasons, probabilities,
intervals, several signals, regions and countries, incidents; the peers get one series at a time.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks.detection.signals import Noise
from benchmarks.detection.world import WorldSize, make_world
from netwatch.detect.detector import BayesFilterDetector
from netwatch.lab.backtest.runner import BacktestOptions, backtest_series
from netwatch.model.entities import Entity, EntityInfo, EntityKind, EntityTree
from netwatch.model.series import SeriesKey
from netwatch.sources.long_table import SeriesTable, make_series_table

__all__ = ["Row", "main", "make_atlas", "measure"]

_SIGNALS = ("probing", "bgp", "telescope", "agents")
_START = datetime(2024, 1, 1, tzinfo=UTC)
_WIDTH = timedelta(minutes=5)
_WARM = 14
_WEEK_BINS = 2016


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, the figure, and the same in words."""

    name: str
    value: float
    unit: str
    note: str = ""


def make_atlas(networks: int, regions: int, countries: int) -> tuple[EntityTree, list[Entity]]:
    """Return an atlas of networks in regions in countries, and the networks."""
    codes = [f"{chr(65 + i // 26 % 26)}{chr(65 + i % 26)}" for i in range(countries)]
    lands = [Entity(EntityKind.COUNTRY, code) for code in codes]
    parts = [Entity(EntityKind.REGION, f"{codes[i % countries]}-{i}") for i in range(regions)]
    leaves = [Entity(EntityKind.ASN, str(i + 1)) for i in range(networks)]
    places = [EntityInfo(land, land.code) for land in lands]
    places += [EntityInfo(part, part.code, lands[i % countries]) for i, part in enumerate(parts)]
    places += [EntityInfo(leaf, leaf.code, parts[i % regions]) for i, leaf in enumerate(leaves)]
    return EntityTree(places), leaves


def _warm_detector(networks: int, regions: int, countries: int) -> BayesFilterDetector:
    """Return a detector whose series are all old enough to be judged."""
    atlas, leaves = make_atlas(networks, regions, countries)
    detector = BayesFilterDetector(atlas, width=_WIDTH, min_history=_WIDTH * (_WARM - 2))
    keys = [SeriesKey(signal, leaf) for signal in _SIGNALS for leaf in leaves]
    detector.ensure_rows(keys, _START)
    for number in range(_WARM):
        _step(detector, number)
    return detector


def _step(detector: BayesFilterDetector, number: int) -> float:
    """Judge one interval of made-up counts; return the seconds of the judging alone."""
    random = np.random.default_rng(number)
    count = len(detector.rows)
    values = random.poisson(60, count).astype(float)
    totals = np.full(count, np.nan)
    return _spent(lambda: detector.step_arrays(_START + number * _WIDTH, values, totals))


def measure(
    networks: int, regions: int, countries: int, *, repeats: int = 5
) -> tuple[float, int, int]:
    """Return the median seconds of a step, the number of series, and the bytes of the state."""
    detector = _warm_detector(networks, regions, countries)
    seconds = [_step(detector, _WARM + number) for number in range(repeats)]
    return float(np.median(seconds)), len(detector.rows), len(detector.save())


def _bandwidth() -> float:
    """Return the bytes a second that one core copies, reads and writes both counted."""
    source = np.ones(32_000_000)
    target = np.empty_like(source)
    best = min(_spent(lambda: np.copyto(target, source)) for _ in range(5))
    return 2 * source.nbytes / best


def _spent(work: Callable[[], object]) -> float:
    """Return the processor seconds of `work`, which other programs on the machine leave alone."""
    began = time.process_time()
    work()
    return time.process_time() - began


def _rolling_median(series: int, bins: int) -> float:
    """Return the series-bins a second of IODA's rule with the medians of pandas."""
    values = np.random.default_rng(1).normal(200, 15, (bins, series))

    def rule() -> object:
        frame = pd.DataFrame(values)
        median = frame.rolling(_WEEK_BINS, min_periods=12).median().shift(1)
        return (frame < 0.8 * median).to_numpy()

    return series * bins / _spent(rule)


def _live_median(series: int) -> float:
    """Return the series-bins a second of the same rule when bins arrive one after another."""
    window = pd.DataFrame(np.random.default_rng(3).poisson(200, (_WEEK_BINS, series)))
    repeats = 3
    return series * repeats / _spent(lambda: [window.median() for _ in range(repeats)])


def _sarima(refits: int) -> float | None:
    """Return the series-bins a second of ARMA(1,1) on weekly differences, 12 bins a refit.

    That is how IODA runs Chocolatine: refit on a week of differences, forecast an hour.
    """
    if find_spec("statsmodels") is None:
        return None
    arima = import_module("statsmodels.tsa.arima.model").ARIMA
    random = np.random.default_rng(2)
    noise = random.normal(size=_WEEK_BINS)
    for index in range(1, noise.size):
        noise[index] += 0.7 * noise[index - 1]
    spent = _spent(
        lambda: [arima(noise, order=(1, 0, 1)).fit().forecast(12) for _ in range(refits)]
    )
    return 12 * refits / spent


def _busy_world(countries: int) -> tuple[SeriesTable, datetime]:
    """Return the figures of a world in which one network in eight is out at any time."""
    size = WorldSize(countries=countries, regions=2, networks=10, scored_weeks=2, width=30)
    world = make_world(1, size, noise=Noise())
    return make_series_table(world.panel.frame(), Path("world")), world.training_until


def _quiet_world(networks: int, days: int) -> tuple[SeriesTable, datetime]:
    """Return 5-minute counts of four signals of many networks in which nothing happens.

    Routes are steadier than answers to probes, those than unsolicited packets.
    """
    random = np.random.default_rng(7)
    atlas, leaves = make_atlas(networks, max(1, networks // 15), max(1, networks // 50))
    bins, names = 288 * days, np.array([str(leaf) for leaf in leaves])
    day = 1 + 0.3 * np.sin(np.arange(bins) / 288 * 2 * np.pi)
    times = pd.date_range(_START, periods=bins, freq=pd.Timedelta(_WIDTH), unit="us")
    parts = [
        pd.DataFrame(
            {
                "time": times.repeat(networks),
                "signal": pd.Categorical.from_codes(np.full(bins * networks, code), list(_SIGNALS)),
                "entity": pd.Categorical.from_codes(
                    np.tile(np.arange(networks), bins), pd.Index(names)
                ),
                "value": random.poisson(np.repeat(size * day, networks)).astype(float),
                "total": np.nan,
            }
        )
        for code, size in enumerate((400, 4_000, 100, 150))
    ]
    frame = pd.concat(parts, ignore_index=True)
    return SeriesTable(frame, tuple(atlas), _WIDTH), _START + timedelta(days=days / 2)


def _backtest(world: tuple[SeriesTable, datetime]) -> float:
    """Return the series-bins a second of a whole backtest, from figures to incidents."""
    figures, until = world
    return len(figures.frame) / _spent(lambda: backtest_series(figures, training_until=until))


def _workers(world: tuple[SeriesTable, datetime]) -> tuple[float, float]:
    """Return how much faster two workers are than one, by the clock and by processor time.

    By processor time, what leads and the busier of the two count: on a machine that has others
    to serve, the clock says little. Starting the processes is counted.
    """
    figures, until = world
    series = 4 * len(figures.frame["entity"].unique()) // 8

    def run(workers: int) -> tuple[float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        began, lead = time.perf_counter(), time.process_time()
        options = BacktestOptions(workers=workers, partition_series=series)
        backtest_series(figures, training_until=until, options=options)
        clock, lead = time.perf_counter() - began, time.process_time() - lead
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        both = after.ru_utime + after.ru_stime - children.ru_utime - children.ru_stime
        return clock, lead + both / workers

    one, two = run(1), run(2)
    return one[0] / two[0], one[1] / two[1]


def _reading(rows: int) -> tuple[float, float]:
    """Return the seconds and the most memory in MB that reading a CSV of so many rows takes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "figures.csv"
        bins = rows // 1000
        times = pd.date_range(_START, periods=bins, freq="5min").strftime("%Y-%m-%dT%H:%MZ")
        with path.open("w", encoding="utf-8") as file:
            file.write("time,signal,entity,value\n")
            for number, time_ in enumerate(times):
                file.writelines(
                    f"{time_},probing,asn:{1 + place},{(number * place) % 97}\n"
                    for place in range(1000)
                )
        script = (
            "import sys, time; from pathlib import Path; "
            "from netwatch.sources.long_table import LongTableSource; "
            "t = time.process_time(); LongTableSource().read(Path(sys.argv[1])); "
            # The kernel counts the most memory of a process from its own start, not its parent's.
            "most = Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]; "
            "print(time.process_time() - t, most)"
        )
        command = [sys.executable, "-c", script, str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(said[0]), float(said[1]) / 1024


def _rows(*, quick: bool) -> list[Row]:
    networks, regions, countries = (7_500, 500, 50) if quick else (75_000, 5_000, 250)
    seconds, series, state = measure(networks, regions, countries)
    rate = series / seconds
    rows = [
        Row(f"one 5-minute step, {series:,} series", seconds, "s", "goal 0.5 s for 321,000"),
        Row("state of all series", state / 1e6, "MB", "goal 300 MB for 321,000"),
        Row("detector's arithmetic", rate, "series-bins/s"),
    ]
    limit = _bandwidth() / (2 * state / series)
    rows.append(Row("memory: whole state read and written", limit, "series-bins/s"))
    quiet = _quiet_world(200 if quick else 1_000, 4 if quick else 8)
    whole = _backtest(quiet)
    busy = _backtest(_busy_world(2 if quick else 8))
    rows.append(Row("backtest, figures to incidents, quiet world", whole, "series-bins/s"))
    rows.append(Row("backtest, one network in eight out", busy, "series-bins/s"))
    median = _rolling_median(8 if quick else 32, 2 * _WEEK_BINS)
    rows.append(Row("IODA's rule, pandas rolling medians", median, "series-bins/s"))
    rows.append(Row("arithmetic / rolling medians", rate / median, "x", "goal 20"))
    rows.append(Row("backtest / rolling medians", whole / median, "x", "goal 20"))
    live = _live_median(200 if quick else 2_000)
    rows.append(Row("IODA's rule live, a median a bin", live, "series-bins/s"))
    rows.append(Row("arithmetic / live medians", rate / live, "x"))
    rows.append(Row("backtest / live medians", whole / live, "x"))
    rows.append(Row("backtest / memory limit", whole / limit, "x", "1 would be the memory's own"))
    sarima = _sarima(2 if quick else 5)
    if sarima is None:
        rows.append(Row("SARIMA", math.nan, "", "skipped: statsmodels is not installed"))
    else:
        rows.append(Row("SARIMA, statsmodels", sarima, "series-bins/s"))
        rows.append(Row("arithmetic / SARIMA", rate / sarima, "x", "goal 1,000"))
        rows.append(Row("backtest / SARIMA", whole / sarima, "x", "goal 1,000"))
        rows.append(Row("busy backtest / SARIMA", busy / sarima, "x", "goal 1,000"))
    rows.append(_growth([2_500, 7_500] if quick else [2_500, 7_500, 25_000, 75_000]))
    if (os.cpu_count() or 1) > 1:
        clock, processor = _workers(quiet)
        rows.append(Row("backtest, two workers over one: clock", clock, "x", "ideal 2"))
        rows.append(Row("the same by processor time", processor, "x", "ideal 2"))
    count = 200_000 if quick else 5_000_000
    seconds, memory = _reading(count)
    rows.append(Row(f"reading a CSV of {count:,} rows", seconds, "s"))
    rows.append(Row("the most memory in it", memory, "MB"))
    return rows


def _growth(sizes: Sequence[int]) -> Row:
    """Return the slope of log seconds over log series: 1 is linear."""
    points = [measure(size, max(1, size // 15), 100, repeats=3)[:2] for size in sizes]
    times, counts = np.log([p[0] for p in points]), np.log([p[1] for p in points])
    slope = float(np.polyfit(counts, times, 1)[0])
    note = ", ".join(f"{count:,}: {spent:.3f} s" for spent, count in points)
    return Row("growth of a step with series", slope, "slope", note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, print the table, write `speed.json`; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.speed")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--out", type=Path, default=Path("benchmark-results"))
    options = parser.parse_args(arguments)
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        # The matrix library reads this when it is loaded: setting it now has no effect.
        print("set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1: one core is the question")
        return 2
    rows = _rows(quick=options.quick)
    load = os.getloadavg()[0]
    rows.append(Row("load of the machine while measuring", load, "processes"))
    table = Table(title="Speed of the detector on one core")
    for heading in ("what", "figure", "unit", "note"):
        table.add_column(heading, justify="right" if heading == "figure" else "left")
    for row in rows:
        table.add_row(row.name, f"{row.value:,.3g}", row.unit, row.note)
    Console().print(table)
    options.out.mkdir(parents=True, exist_ok=True)
    body = json.dumps([asdict(row) for row in rows], indent=1)
    (options.out / "speed.json").write_text(body + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

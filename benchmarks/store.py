"""Rows a second that each engine writes, milliseconds of reads, and bytes on disk.

    python -m benchmarks.store                  a tenth of the series, within two minutes
    python -m benchmarks.store --scale 1        75,000 series
    python -m benchmarks.store --full-days 7    also the embedded store with whole days compacted

Every engine gets the same bins: a month of 20 series, a week of a country of 500 networks,
and then all series bin after bin, while another process reads. The generator's own time is
not counted. Reads are medians of five, the first one included.
"""

import argparse
import json
import multiprocessing
import multiprocessing.queues
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from benchmarks.store_engines import DuckEngine, Engine, PlainSqlite, embedded, influx, tree_size
from benchmarks.store_influxd import running_influxd
from netwatch.model.entities import Entity, EntityKind
from netwatch.model.errors import StoreError
from netwatch.model.series import Bin, SeriesKey
from netwatch.store.sqlite import SqliteStore

T0 = datetime(2026, 3, 1, tzinfo=UTC)
LAST = T0 + timedelta(days=30)  # the open day that all series are written to
NOW = LAST + timedelta(days=1)
STEP = timedelta(minutes=5)
DAY = timedelta(days=1)
COUNTRY, MONTH, ALL = 500, 20, 75_000
BINS = 12  # of all series, per size of batch

KEYS = [SeriesKey("reachability", Entity(EntityKind.ASN, str(n + 1))) for n in range(ALL)]
AREA = {key.entity.code: str(index // COUNTRY) for index, key in enumerate(KEYS)}
_random = np.random.default_rng(7)
TOTALS = _random.integers(4, 60, ALL).astype(float)


def bins_at(time_: datetime, keys: Sequence[SeriesKey]) -> list[Bin]:
    """Make one interval: trials that stay, successes that vary."""
    totals = TOTALS[: len(keys)]
    values = _random.binomial(totals.astype(int), 0.95).astype(float)
    rows = zip(keys, values.tolist(), totals.tolist(), strict=True)
    return [Bin(time_, key, value, total) for key, value, total in rows]


def past() -> Iterator[list[Bin]]:
    """Make the month of some series, with the country's week at its end, in big batches."""
    held: list[Bin] = []
    for step in range(30 * 288):
        wide = step >= 23 * 288
        held += bins_at(T0 + step * STEP, KEYS[: COUNTRY if wide else MONTH])
        if len(held) >= 50_000:
            yield held
            held = []
    yield held


def timed(work: Callable[[], int], wanted: int, times: int = 5) -> float:
    """Return milliseconds, the median of some calls that each must give `wanted` rows."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        found = work()
        taken.append((time.perf_counter() - begun) * 1000)
        assert found == wanted, f"{found} rows where {wanted} were written"
    return statistics.median(taken)


def ingest(engine: Engine, series: int, first: int, batch: int) -> float:
    """Write whole bins of all series in batches; return rows a second.

    The first bin is written before: what engines do once for a new series is not counted.
    """
    taken, rows = 0.0, 0
    for step in range(first, first + BINS):
        bins = bins_at(LAST + step * STEP, KEYS[:series])
        for start in range(0, series, batch):
            part = bins[start : start + batch]
            begun = time.perf_counter()
            engine.put(part)
            taken += time.perf_counter() - begun
            rows += len(part)
    return rows / taken


def read_on(
    kind: str, location: str, stop: Event, results: "multiprocessing.queues.Queue[tuple[int, int]]"
) -> None:
    """Read the first open bin repeatedly until stopped; report how often."""
    engine: Engine
    if kind == "embedded":
        engine = embedded(Path(location), NOW, AREA)
    elif kind == "influxdb":
        engine = influx(location, Path())
    else:
        engine = PlainSqlite(Path(location))
    results.put((0, 0))
    reads = failed = 0
    while not stop.is_set():
        try:
            engine.newest(LAST)
            reads += 1
        except StoreError:
            failed += 1
    engine.close()
    results.put((reads, failed))


class Reader:
    """Another process that reads from the engine while this one writes."""

    def __init__(self, kind: str, location: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._stop = spawn.Event()
        self._results = spawn.Queue()
        arguments = (kind, location, self._stop, self._results)
        self._process = spawn.Process(target=read_on, args=arguments)
        self._begun = 0.0

    def start(self) -> None:
        self._process.start()
        self._results.get(timeout=60)
        self._begun = time.perf_counter()

    def stop(self) -> tuple[float, float]:
        """Return reads a second, and reads that failed."""
        self._stop.set()
        reads, failed = self._results.get(timeout=120)
        seconds = time.perf_counter() - self._begun
        self._process.join()
        return reads / seconds, failed


def measure(engine: Engine, series: int, reader: Reader | None) -> dict[str, float | None]:
    """Run all of it on one engine."""
    rows = 0
    for bins in past():
        engine.put(bins)
        rows += len(bins)
    engine.settle()
    result: dict[str, float | None] = {"bytes/million old rows": engine.size() / rows * 1e6}
    reader = reader if engine.second_process else None
    engine.put(bins_at(LAST, KEYS[:series]))
    if reader is not None:
        reader.start()
    result["rows/s, batch 5k"] = ingest(engine, series, 1, 5_000)
    result["rows/s, batch 50k"] = ingest(engine, series, 1 + BINS, 50_000)
    read, failed = reader.stop() if reader is not None else (None, None)
    result |= {"reads meanwhile/s": read, "reads that failed": failed}
    week = (T0 + 23 * DAY, LAST)
    result["one series, 30 days, ms"] = timed(lambda: engine.one(KEYS[7], (T0, LAST)), 30 * 288)
    result["country, 7 days, ms"] = timed(lambda: engine.country(KEYS[:COUNTRY], week), 2016)
    newest = LAST + 2 * BINS * STEP
    result["newest bin of all, ms"] = timed(lambda: engine.newest(newest), series)
    return result


def full_days(folder: Path, days: int) -> dict[str, float | None]:
    """Write and compact whole days of all 75,000 series, then read a country's from the files."""
    engine = embedded(folder, T0 + (days + 2) * DAY, AREA)
    store = engine.store
    assert isinstance(store, SqliteStore)
    write = compact = 0.0
    for day in range(days):
        for step in range(288):
            bins = bins_at(T0 + day * DAY + step * STEP, KEYS)
            begun = time.perf_counter()
            store.put_bins(bins)
            write += time.perf_counter() - begun
        begun = time.perf_counter()
        entries = list(store.compact(keep=timedelta(days=days + 1 - day)))
        compact += time.perf_counter() - begun
        assert [entry.rows for entry in entries] == [288 * ALL]
    rows, end = days * 288 * ALL, T0 + days * DAY
    middle = KEYS[30_000 : 30_000 + COUNTRY]
    files = tree_size(folder / "days")
    result: dict[str, float | None] = {
        "rows/s written": rows / write,
        "rows/s compacted": rows / compact,
        "compacted bytes/million rows": files / rows * 1e6,
    }
    result[f"country, {days} days, ms"] = timed(
        lambda: engine.country(middle, (T0, end)), days * 288, 9
    )
    result[f"one series, {days} days, ms"] = timed(
        lambda: engine.one(middle[7], (T0, end)), days * 288
    )
    result["one compacted bin of all, ms"] = timed(lambda: engine.newest(end - STEP), ALL)
    engine.close()
    return result


def run_all(folder: Path, series: int, only: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Run the engines one after another, each in a folder of its own."""
    results = {}
    with ExitStack() as stack:
        for name in only:
            own = folder / name.replace(" ", "-")
            own.mkdir()
            location = str(own)
            engine: Engine
            if name == "embedded":
                engine = embedded(own, NOW, AREA)
            elif name == "plain sqlite":
                engine = PlainSqlite(own)
            elif name == "duckdb":
                engine = DuckEngine(own)
            else:
                address = stack.enter_context(running_influxd(own))
                if address is None:
                    print("influxdb: left out, influxd is not installed")
                    continue
                engine, location = influx(address, own), address
            with closing(engine):
                results[name] = measure(engine, series, Reader(name, location))
    return results


def show(results: dict[str, dict[str, float | None]]) -> None:
    """Print a table: each figure, and how many times the embedded store's it is."""
    names = list(results)
    print(f"{'':26}" + "".join(f"{name:>26}" for name in names))
    for row in results[names[0]]:
        base = results[names[0]][row]
        cells = []
        for name in names:
            value = results[name][row]
            ratio = f"{value / base:8.2f}x" if value is not None and base else f"{'-':>9}"
            cells.append(f"{'-' if value is None else f'{value:,.1f}':>17}{ratio}")
        print(f"{row:26}" + "".join(cells))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--scale", type=float, default=0.1, help="share of the 75,000 series")
    options.add_argument(
        "--full-days", type=int, default=0, help="whole days of all series, compacted"
    )
    options.add_argument("--engines", default="embedded,plain sqlite,duckdb,influxdb")
    options.add_argument("--json", action="store_true", help="print JSON")
    chosen = options.parse_args()
    series = max(COUNTRY, int(ALL * chosen.scale))
    folder = Path(tempfile.mkdtemp(prefix="netwatch-bench-"))
    try:
        results = run_all(folder, series, [name for name in chosen.engines.split(",") if name])
        days = full_days(folder / "full", chosen.full_days) if chosen.full_days else {}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if chosen.json:
        print(json.dumps({"series": series, "engines": results, "full days": days}))
        return
    if results:
        print(f"{series:,} series")
        show(results)
    for row, value in days.items():
        print(f"embedded, whole days: {row:26}{value:18,.1f}")


if __name__ == "__main__":
    main()

"""Wall clocks that are years off, or set at any moment, from spool to batch log.

A simulated machine measures and reboots with an unreliable wall clock; everything else
is real. Each measurement carries the true time, which only the test reads.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from sqlite3 import SQLITE_UPDATE
from tempfile import TemporaryDirectory

import pytest
from batch_counts import count_undated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from netwatch.agent.clock import AckClockSync, DisciplinedClock, KernelClock
from netwatch.agent.spool.spool import Spool
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.ingest import Ingest
from netwatch.collector.metrics import CollectorMetrics
from netwatch.model.errors import StoreError
from netwatch.model.measurement import Measurement, Observation, Target, Vantage
from netwatch.protocols import Message
from netwatch.storage.sqlite_file import SqliteStore
from netwatch.store.memory import MemoryStore
from netwatch.wire.topics import batch_topic

START = datetime(2026, 1, 8, tzinfo=UTC)
YEARS, HOURS = timedelta(days=-730), timedelta(hours=6)
WIDTH = timedelta(minutes=5)
VANTAGE = Vantage("a1", "IR", 44244)
BOOK = {"one": Target("one", "tcp", "192.0.2.1", asn=64500, country="IR")}
FAST = 40e-6
"""Drift of the monotonic clock, that of a cheap crystal."""


def no_sync(store: SqliteStore) -> None:
    """Do not wait for the disk: no power is cut here."""
    store._file.execute("PRAGMA synchronous=OFF")


@dataclass
class World:
    """One vantage and one collector with a correct clock, on simulated time."""

    folder: Path
    wrong: timedelta = timedelta(0)
    true: datetime = START
    started: datetime = START
    boots: int = 0
    linked: bool = True
    kernel: KernelClock | None = None
    measured: int = 0
    missed: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.batch_log = BatchLog(self.folder / "batches.sqlite")
        no_sync(self.batch_log)
        self.metrics, self.store = CollectorMetrics(), MemoryStore()
        self.ingest = Ingest(
            self.batch_log,
            width=WIDTH,
            clock=lambda: self.true,
            metrics=self.metrics,
            accept_unsigned=True,
        )
        self.closer = BinCloser(
            self.batch_log,
            self.store,
            targets=BOOK,
            width=WIDTH,
            metrics=self.metrics,
        )
        self.boot()

    def monotonic(self) -> float:
        return (self.true - self.started).total_seconds() * (1 + FAST)

    def boot(self, *, off: float = 0, wrong: timedelta | None = None) -> None:
        """Start the machine, `off` seconds after it was cut from its power."""
        if self.boots:
            self.spool.close()
        self.wrong = self.wrong if wrong is None else wrong
        self.true += timedelta(seconds=off)
        self.started = self.true
        self.true += timedelta(seconds=20)
        self.boots += 1
        self.begin()

    def begin(self) -> None:
        """Start the process."""
        self.keeper = DisciplinedClock(
            lambda: self.true + self.wrong,
            boot=f"{self.boots:016x}",
            monotonic=self.monotonic,
            kernel=lambda: self.kernel,
        )
        self.spool = Spool(self.folder / "spool.sqlite", vantage=VANTAGE, created_at=START)
        no_sync(self.spool)
        self.spool.use_clock(self.keeper)
        self.asking = AckClockSync(self.keeper)

    def restart(self) -> None:
        """Start the process anew, as after a crash."""
        self.spool.close()
        self.begin()

    def jump(self, by: timedelta) -> None:
        self.wrong += by

    def measure(self, minutes: int = 1) -> None:
        """Measure every ten seconds, flush and send every minute."""
        for _ in range(minutes):
            for _ in range(6):
                self.true += timedelta(seconds=10)
                step = Observation("connect", None, 0.01, self.true.isoformat())
                row = Measurement(
                    "one", "tcp", self.keeper(), None, "", host_responded=True, seconds=0.01,
                    observations=(step,),
                )  # fmt: skip
                self.spool.append([row])
                self.measured += 1
            self.spool.flush()
            self.send(8)

    def send(self, most: int, *, lose: bool = False) -> None:
        """Send pending batches; 0.2 s there, 0.1 s back."""
        waiting = self.spool.oldest(most) if self.linked else []
        for sealed in waiting:
            self.asking.sent(sealed.sequence)
        self.true += timedelta(seconds=0.2)
        messages = [Message(batch_topic("a1"), sealed.payload) for sealed in waiting]
        answers = self.ingest.ingest(messages, self.closer.until).acks
        self.true += timedelta(seconds=0.1)
        for answer in () if lose else answers:
            assert not answer.refused
            self.asking.acknowledged(answer)
            self.spool.acknowledge(answer.stored)

    def finish(self) -> list[tuple[datetime, datetime]]:
        """Send everything; return the true and the corrected time of every dated measurement."""
        self.linked = True
        self.measure(3)
        while self.spool.count_pending():
            self.send(50)
        far = timedelta(days=9999)
        return [
            (datetime.fromisoformat(row.observations[0].detail), row.time)
            for _, row in self.batch_log.measurements(START - far, START + far)
        ]

    def worst(self) -> float:
        """Finish; return the largest error in seconds, and check that nothing is missing."""
        found = self.finish()
        assert len(found) + count_undated(self.batch_log) == self.measured
        return max(abs((said - true).total_seconds()) for true, said in found)

    def close(self) -> None:
        self.spool.close()
        self.batch_log.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("wrong", [timedelta(0), YEARS, HOURS, timedelta(seconds=-90)], ids=str)
def test_a_clock_that_is_wrong_from_the_start(tmp_path: Path, wrong: timedelta) -> None:
    world = World(tmp_path, wrong=wrong)
    world.measure(10)
    assert world.worst() < 1
    assert count_undated(world.batch_log) == 0


@pytest.mark.parametrize("jump", [YEARS, HOURS, timedelta(seconds=3)], ids=str)
def test_a_clock_that_is_set_while_measuring(world: World, jump: timedelta) -> None:
    for by in (jump, -jump, jump):
        world.measure(5)
        world.jump(by)
        world.measure(2)
        world.restart()
    assert world.worst() < 1
    assert count_undated(world.batch_log) == 0


def test_a_kernel_that_reports_its_wrong_clock_as_synchronised(tmp_path: Path) -> None:
    world = World(tmp_path, wrong=HOURS, kernel=KernelClock(synced=True, error=0.01))
    world.measure(5)
    assert world.worst() < 1


def test_batches_before_any_acknowledgement_are_dated_later(tmp_path: Path) -> None:
    """Years off, and no acknowledgement gets through at first: nothing can be dated."""
    world = World(tmp_path, wrong=YEARS)
    world.linked = False
    world.measure(10)
    world.linked = True
    world.send(50, lose=True)
    assert count_undated(world.batch_log) == 60
    assert world.batch_log.first_time() is None
    assert world.closer.close(world.true) == 0
    world.measure(2)
    assert count_undated(world.batch_log) == 0
    assert world.worst() < 1


def test_bins_that_were_closed_meanwhile_are_counted_again(world: World) -> None:
    world.measure(10)
    world.linked = False
    world.boot(off=60, wrong=YEARS)
    world.measure(10)
    late = world.true
    world.closer.close(late)
    before = sum(one.total or 0 for one in world.store.read_bins(START, late))
    world.linked = True
    world.measure(2)
    assert world.closer.recount_late() > 0
    after = sum(one.total or 0 for one in world.store.read_bins(START, late))
    assert after > before + 50


def test_three_days_cut_off_with_a_drifting_clock(world: World) -> None:
    world.measure(3)
    world.linked = False
    world.measure(5)
    world.true += timedelta(hours=71)
    world.jump(HOURS)
    world.measure(5)
    assert world.worst() < 1


def test_a_boot_without_any_ack_is_bounded_by_its_neighbours(world: World) -> None:
    """Cut off, it ran for a minute between two boots whose times are known."""
    world.measure(5)
    world.linked = False
    world.boot(off=20, wrong=YEARS)
    world.measure(1)
    world.boot(off=20)
    world.measure(1)
    assert world.worst() < 60
    assert count_undated(world.batch_log) == 0


def test_a_boot_between_distant_neighbours_is_stored_and_not_counted(world: World) -> None:
    world.measure(5)
    world.linked = False
    world.boot(off=3600, wrong=YEARS)
    world.measure(1)
    world.boot(off=3600)
    assert world.worst() < 1
    assert count_undated(world.batch_log) == 6


def test_a_rolled_back_transaction_changes_no_estimate(world: World) -> None:
    world.measure(2)
    world.boot(off=60, wrong=YEARS)
    file = world.batch_log._file
    # A trigger that fails would break a rule of the tables: that is a defect of one batch.
    file.set_authorizer(lambda action, table, *_: int((action, table) == (SQLITE_UPDATE, "batch")))
    with pytest.raises(StoreError):
        world.measure(1)
    file.set_authorizer(None)
    assert world.worst() < 1
    assert count_undated(world.batch_log) == 0


seconds = some.one_of(
    some.sampled_from([YEARS, -YEARS, HOURS, -HOURS]),
    some.integers(-40, 40).map(lambda count: timedelta(seconds=count)),
)
deeds = some.one_of(
    some.tuples(some.just("measure"), some.integers(1, 3)),
    some.tuples(some.just("jump"), seconds),
    some.tuples(some.just("boot"), some.integers(1, 20_000)),
    some.tuples(some.just("restart"), some.none()),
    some.tuples(some.just("link"), some.booleans()),
    some.tuples(some.just("lose"), some.none()),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(some.lists(deeds, max_size=15), seconds)
def test_counted_times_are_true_for_any_clock(
    story: list[tuple[str, object]], wrong: timedelta
) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder), wrong=wrong)
        for deed, value in story:
            if deed == "measure" and isinstance(value, int):
                world.measure(value)
            elif deed == "jump" and isinstance(value, timedelta):
                world.jump(value)
            elif deed == "boot" and isinstance(value, int):
                world.boot(off=value)
            elif deed == "restart":
                world.restart()
            elif deed == "link":
                world.linked = bool(value)
            elif deed == "lose":
                world.send(8, lose=True)
        found = world.finish()
        assert len(found) + count_undated(world.batch_log) == world.measured
        for true, said in found:
            assert abs(said - true) < timedelta(seconds=150)
        # The last boot was acknowledged in the end: all of it is dated to the second.
        last = [(true, said) for true, said in found if true > world.started]
        assert all(abs(said - true) < timedelta(seconds=1) for true, said in last)
        assert all(one[0] < other[0] for one, other in pairwise(sorted(last)))
        world.close()

"""What an agent knows of the time while its wall clock is set under it."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from netwatch.agent.clock import DisciplinedClock, KernelClock, boot_name, read_kernel_clock
from netwatch.model.clock_samples import ClockSample, ClockSource

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
YEARS = timedelta(days=730)


class Machine:
    """A machine whose wall clock can be set, and whose time only passes when it is told to."""

    def __init__(self, wrong: timedelta = timedelta(0)) -> None:
        self.steady, self.wrong = 1000.0, wrong
        self.kernel: KernelClock | None = None
        self.keeper = DisciplinedClock(
            self.wall, boot="ab" * 8, steady=lambda: self.steady, kernel=lambda: self.kernel
        )

    def true(self) -> datetime:
        return NOON + timedelta(seconds=self.steady)

    def wall(self) -> datetime:
        return self.true() + self.wrong

    def answer(self, *, there: float = 0.1, back: float = 0.1) -> None:
        """Have the collector say what time it is."""
        since = self.steady
        self.steady += there
        told = round(self.true().timestamp() * 1000)
        self.steady += back
        self.keeper.hear(told, since=since)

    def error_of(self, reading: ClockSample) -> float:
        """Return by how many seconds a reading misses the truth."""
        told = (reading.wall + reading.offset) / 1000
        true = (NOON + timedelta(milliseconds=reading.monotonic)).timestamp()
        return abs(told - true)


@given(some.lists(some.integers(-(10**8), 10**8), max_size=20))
def test_rows_are_dated_alike_however_often_the_wall_clock_is_set(jumps: list[int]) -> None:
    machine = Machine()
    before = machine.keeper()
    for jump in jumps:
        machine.wrong = timedelta(seconds=jump)
        machine.steady += 60
    passed = machine.keeper() - before
    assert abs(passed.total_seconds() - 60 * len(jumps)) < 1e-3


def test_nobody_vouches_for_a_clock_that_nothing_is_known_of() -> None:
    reading = Machine(-YEARS).keeper.read()
    assert (reading.source, reading.error, reading.synced) == (ClockSource.UNKNOWN, None, None)
    assert reading.wall == round((NOON + timedelta(seconds=1000) - YEARS).timestamp() * 1000)


@pytest.mark.parametrize("wrong", [-YEARS, timedelta(hours=6), timedelta(seconds=3)])
def test_one_answer_of_the_collectors_tells_the_truth(wrong: timedelta) -> None:
    machine = Machine(wrong)
    machine.answer()
    reading = machine.keeper.read()
    assert reading.source is ClockSource.COLLECTOR
    assert reading.error == 100
    assert machine.error_of(reading) < 0.002
    assert machine.keeper.off() == pytest.approx(-wrong.total_seconds(), abs=0.001)


def test_the_quickest_answer_counts_until_it_is_old() -> None:
    machine = Machine()
    machine.answer(there=0.01, back=0.03)
    machine.answer(there=9, back=1)
    quick = machine.keeper.read()
    assert machine.error_of(quick) < 0.02
    machine.steady += 100_000
    assert machine.keeper.read().error == pytest.approx(5000 + 10_000, abs=6000)


@given(some.lists(some.tuples(some.floats(0, 30), some.floats(0, 30)), min_size=1, max_size=20))
def test_the_error_that_is_told_holds(ways: list[tuple[float, float]]) -> None:
    machine = Machine(timedelta(hours=6))
    for there, back in ways:
        machine.answer(there=there, back=back)
        machine.steady += 10
        reading = machine.keeper.read()
        assert reading.error is not None
        assert machine.error_of(reading) <= reading.error / 1000 + 0.002


def test_a_system_that_keeps_its_clock_right_vouches_for_it() -> None:
    machine = Machine(timedelta(seconds=0.2))
    machine.kernel = KernelClock(synced=True, error=0.5)
    reading = machine.keeper.read()
    assert (reading.source, reading.synced) == (ClockSource.KERNEL, True)
    assert (reading.offset, reading.error) == (0, 500)


def test_a_system_that_is_wrong_is_not_believed_against_the_collector() -> None:
    machine = Machine(timedelta(hours=6))
    machine.kernel = KernelClock(synced=True, error=0.001)
    machine.answer()
    reading = machine.keeper.read()
    assert reading.source is ClockSource.COLLECTOR
    assert machine.error_of(reading) < 0.002


def test_a_canary_tells_the_time_to_the_second() -> None:
    machine = Machine(-YEARS)
    since = machine.steady
    machine.steady += 0.2
    machine.keeper.hear_canary(machine.true().replace(microsecond=0), since=since)
    reading = machine.keeper.read()
    assert reading.source is ClockSource.HTTP
    assert reading.error is not None
    assert machine.error_of(reading) <= reading.error / 1000 < 2


def test_a_machine_that_wakes_up_in_1970_dates_rows_that_can_be_sent() -> None:
    machine = Machine(datetime(1970, 1, 1, tzinfo=UTC) - NOON)
    assert machine.keeper().year == 2020
    machine.answer()
    assert machine.error_of(machine.keeper.read()) < 0.002


def test_a_run_of_the_machine_has_one_name_for_each_agent(tmp_path: Path) -> None:
    source = tmp_path / "boot_id"
    source.write_text("9702c668-dcd5-4470-9fcf-bb3ae295428f\n")
    assert boot_name("a1", source) == boot_name("a1", source) != boot_name("a2", source)
    assert len(bytes.fromhex(boot_name("a1", source))) == 8
    missing = tmp_path / "missing"
    assert boot_name("a1", missing) != boot_name("a1", missing)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")
def test_linux_says_how_its_clock_is_kept() -> None:
    found = read_kernel_clock()
    assert found is not None
    assert 0 <= found.error < 60

"""The disciplined clock while the wall clock is wrong or stepped."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from netwatch.agent.clock import DisciplinedClock, KernelClock, boot_id, read_kernel_clock
from netwatch.model.clock_samples import ClockSample, ClockSource

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
YEARS = timedelta(days=730)


class Machine:
    """A machine whose clocks are set by hand."""

    def __init__(self, wrong: timedelta = timedelta(0)) -> None:
        self.monotonic, self.wrong = 1000.0, wrong
        self.kernel: KernelClock | None = None
        self.clock = DisciplinedClock(
            self.wall, boot="ab" * 8, monotonic=lambda: self.monotonic, kernel=lambda: self.kernel
        )

    def true(self) -> datetime:
        return NOON + timedelta(seconds=self.monotonic)

    def wall(self) -> datetime:
        return self.true() + self.wrong

    def answer(self, *, there: float = 0.1, back: float = 0.1) -> None:
        """Add a time of the collector, with the delays of both directions."""
        since = self.monotonic
        self.monotonic += there
        collector_time = round(self.true().timestamp() * 1000)
        self.monotonic += back
        self.clock.add_collector_time(collector_time, since=since)

    def error_of(self, sample: ClockSample) -> float:
        """Return the error of a sample in seconds."""
        collector_time = (sample.wall + sample.offset) / 1000
        true = (NOON + timedelta(milliseconds=sample.monotonic)).timestamp()
        return abs(collector_time - true)


@given(some.lists(some.integers(-(10**8), 10**8), max_size=20))
def test_stepping_the_wall_clock_moves_no_date(jumps: list[int]) -> None:
    machine = Machine()
    before = machine.clock()
    for jump in jumps:
        machine.wrong = timedelta(seconds=jump)
        machine.monotonic += 60
    passed = machine.clock() - before
    assert abs(passed.total_seconds() - 60 * len(jumps)) < 1e-3


def test_without_a_source_the_error_is_unknown() -> None:
    sample = Machine(-YEARS).clock.sample()
    assert (sample.source, sample.error, sample.synced) == (ClockSource.UNKNOWN, None, None)
    assert sample.wall == round((NOON + timedelta(seconds=1000) - YEARS).timestamp() * 1000)


@pytest.mark.parametrize("wrong", [-YEARS, timedelta(hours=6), timedelta(seconds=3)])
def test_one_acknowledgement_gives_the_offset(wrong: timedelta) -> None:
    machine = Machine(wrong)
    machine.answer()
    sample = machine.clock.sample()
    assert sample.source is ClockSource.COLLECTOR
    assert sample.error == 100
    assert machine.error_of(sample) < 0.002
    assert machine.clock.offset_error() == pytest.approx(-wrong.total_seconds(), abs=0.001)


def test_the_quickest_answer_counts_until_it_is_old() -> None:
    machine = Machine()
    machine.answer(there=0.01, back=0.03)
    machine.answer(there=9, back=1)
    quick = machine.clock.sample()
    assert machine.error_of(quick) < 0.02
    machine.monotonic += 100_000
    assert machine.clock.sample().error == pytest.approx(5000 + 10_000, abs=6000)


@given(some.lists(some.tuples(some.floats(0, 30), some.floats(0, 30)), min_size=1, max_size=20))
def test_the_estimated_error_is_an_upper_bound(delays: list[tuple[float, float]]) -> None:
    machine = Machine(timedelta(hours=6))
    for there, back in delays:
        machine.answer(there=there, back=back)
        machine.monotonic += 10
        sample = machine.clock.sample()
        assert sample.error is not None
        assert machine.error_of(sample) <= sample.error / 1000 + 0.002


def test_a_synchronised_kernel_clock_is_a_source() -> None:
    machine = Machine(timedelta(seconds=0.2))
    machine.kernel = KernelClock(synced=True, error=0.5)
    sample = machine.clock.sample()
    assert (sample.source, sample.synced) == (ClockSource.KERNEL, True)
    assert (sample.offset, sample.error) == (0, 500)


def test_the_collector_overrides_a_wrong_kernel_clock() -> None:
    machine = Machine(timedelta(hours=6))
    machine.kernel = KernelClock(synced=True, error=0.001)
    machine.answer()
    sample = machine.clock.sample()
    assert sample.source is ClockSource.COLLECTOR
    assert machine.error_of(sample) < 0.002


def test_an_http_date_is_precise_to_the_second() -> None:
    machine = Machine(-YEARS)
    since = machine.monotonic
    machine.monotonic += 0.2
    machine.clock.add_http_date(machine.true().replace(microsecond=0), since=since)
    sample = machine.clock.sample()
    assert sample.source is ClockSource.HTTP
    assert sample.error is not None
    assert machine.error_of(sample) <= sample.error / 1000 < 2


def test_a_machine_that_boots_in_1970_dates_measurements_in_the_valid_range() -> None:
    machine = Machine(datetime(1970, 1, 1, tzinfo=UTC) - NOON)
    assert machine.clock().year == 2020
    machine.answer()
    assert machine.error_of(machine.clock.sample()) < 0.002


def test_a_boot_has_one_id_per_agent(tmp_path: Path) -> None:
    source = tmp_path / "boot_id"
    source.write_text("9702c668-dcd5-4470-9fcf-bb3ae295428f\n")
    assert boot_id("a1", source) == boot_id("a1", source) != boot_id("a2", source)
    assert len(bytes.fromhex(boot_id("a1", source))) == 8
    missing = tmp_path / "missing"
    assert boot_id("a1", missing) != boot_id("a1", missing)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
def test_the_linux_kernel_clock_is_read() -> None:
    kernel = read_kernel_clock()
    assert kernel is not None
    assert 0 <= kernel.error < 60


def test_a_collector_whose_clock_was_set_is_followed_at_once() -> None:
    """Its earlier times were wrong, however quickly they came."""
    machine = Machine(timedelta(hours=1))
    for _ in range(8):
        machine.answer(there=0.001, back=0.001)
    since = machine.monotonic
    later = machine.true() + timedelta(hours=2)
    machine.clock.add_collector_time(round(later.timestamp() * 1000), since=since)
    error = machine.clock.offset_error()
    assert error == pytest.approx(3600, abs=1)
    assert abs((machine.clock.true_time() - later).total_seconds()) < 1

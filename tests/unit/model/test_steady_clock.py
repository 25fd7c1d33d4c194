"""A system clock that is set to anything, with a monotonic one that is not."""

from datetime import UTC, datetime, timedelta

import pytest

from netwatch.model.steady_clock import SteadyClock, as_steady

START = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)
HOUR, DAY = 3600.0, 86_400.0


class Machine:
    """Both clocks of a machine; `error` is by how much the system clock is wrong."""

    def __init__(self) -> None:
        self.monotonic, self.error, self.synced = 1000.0, 0.0, False
        self.clock = SteadyClock(self.wall, lambda: self.monotonic, is_synced=lambda: self.synced)

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.monotonic - 1000 + self.error)

    @property
    def true(self) -> datetime:
        return START + timedelta(seconds=self.monotonic - 1000)

    @property
    def true_line(self) -> float:
        return START.timestamp() - 1000

    def run(self, seconds: float, *, step: float = 1.0) -> float:
        """Let time pass; return the greatest error of the steady clock in seconds."""
        worst = 0.0
        for _ in range(int(seconds / step)):
            self.monotonic += step
            worst = max(worst, abs((self.clock() - self.true).total_seconds()))
        return worst


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("error", [DAY, -HOUR, 400 * DAY, 12.0])
def test_a_jump_is_named_and_moves_nothing(machine: Machine, error: float) -> None:
    assert machine.clock.notice == ""
    machine.error = error
    assert machine.run(22) < 0.001
    assert machine.clock.jumps == 1
    assert machine.clock.off_seconds == pytest.approx(error)
    assert "the system clock jumped by" in machine.clock.notice
    assert "2026-01-08 16:30:01 UTC; time is counted on without it" in machine.clock.notice
    machine.error = 0.0
    assert machine.run(22) < 0.001
    assert machine.clock.off_seconds == 0.0
    assert machine.clock.notice.endswith("16:30:01 UTC")
    machine.run(2 * HOUR, step=60)
    assert machine.clock.notice == ""


def test_the_size_of_a_jump_is_in_words(machine: Machine) -> None:
    machine.error = DAY
    machine.run(1)
    assert machine.clock.notice.startswith("the system clock jumped by +24 h at")
    machine.error = -HOUR
    machine.run(1)
    assert machine.clock.notice.startswith("the system clock jumped by -60 min at")
    assert machine.clock.jumps == 2


def test_a_slewed_clock_and_a_leap_second_are_followed(machine: Machine) -> None:
    for _ in range(1000):
        machine.error += 0.0005
        machine.run(1)
    assert abs((machine.clock() - machine.wall()).total_seconds()) < 0.01
    machine.error -= 1.0
    machine.run(2000)
    assert abs((machine.clock() - machine.wall()).total_seconds()) < 0.01
    assert machine.clock.jumps == 0


def test_many_small_steps_are_followed_no_faster_than_a_slew(machine: Machine) -> None:
    for _ in range(100):
        machine.error = (machine.clock() - machine.true).total_seconds() + 1.9
        machine.run(1)
    assert (machine.clock() - machine.true).total_seconds() < 0.11


def test_sleep_passes_as_time(machine: Machine) -> None:
    """The monotonic clock counts it, so nothing has jumped."""
    machine.monotonic += 8 * HOUR
    assert machine.clock() == machine.true
    assert machine.clock.jumps == 0


def test_a_pause_while_both_clocks_are_read_is_no_jump(machine: Machine) -> None:
    paused = iter([5.0, 0.0, 0.0, 0.0])

    def wall() -> datetime:
        machine.monotonic += next(paused, 0.0)
        return machine.wall() - timedelta(seconds=next(paused, 0.0))

    clock = SteadyClock(wall, lambda: machine.monotonic)
    clock()
    assert clock.jumps == 0


@pytest.mark.parametrize("error", [DAY, -HOUR])
def test_a_jump_that_agents_contradict_is_never_believed(machine: Machine, error: float) -> None:
    machine.error, machine.synced = error, True
    machine.clock.hear(machine.true_line - 3)
    assert machine.run(3 * HOUR, step=10) < 0.001
    assert not machine.clock.in_doubt
    assert machine.clock.is_confirmed


@pytest.mark.parametrize("error", [DAY, -HOUR])
def test_a_jump_that_agents_confirm_is_believed_at_once(machine: Machine, error: float) -> None:
    """A paused virtual machine, or a clock that was wrong at the start and is corrected."""
    machine.error = error
    machine.clock.hear(machine.true_line + error - 3)
    machine.run(1)
    assert machine.clock() == machine.wall()
    assert not machine.clock.in_doubt
    assert machine.clock.is_confirmed


@pytest.mark.parametrize(("synced", "seconds"), [(True, 61), (False, 3601)])
def test_without_agents_a_jump_is_believed_later(
    machine: Machine, seconds: int, *, synced: bool
) -> None:
    machine.error, machine.synced = DAY, synced
    machine.run(seconds - 2)
    assert machine.clock() == machine.true
    machine.run(4)
    assert machine.clock() == machine.wall()


def test_agents_that_contradict_both_clocks_are_a_doubt(machine: Machine) -> None:
    machine.clock.hear(machine.true_line - DAY)
    assert machine.clock.in_doubt
    assert not machine.clock.is_confirmed
    assert machine.clock.notice == "this clock is 24 h ahead of those of the agents"
    machine.clock.hear(None)
    assert not machine.clock.in_doubt


def test_a_new_process_continues_the_line(machine: Machine) -> None:
    """Restarted in the wrong period, it knows the time of the one before."""
    line = machine.clock.line
    machine.error = DAY
    machine.clock = SteadyClock(machine.wall, lambda: machine.monotonic)
    machine.clock.resume(line)
    assert machine.run(22) < 0.001
    assert machine.clock.jumps == 1
    machine.error = 0.0
    assert machine.run(22) < 0.001


def test_any_clock_can_be_followed() -> None:
    times = [START]
    clock = as_steady(lambda: times[-1])
    times.append(START + timedelta(days=9))
    assert clock() == times[-1]
    times.append(START - timedelta(days=9))
    assert clock() == times[-1]
    assert (clock.jumps, clock.notice) == (0, "")
    assert as_steady(clock) is clock

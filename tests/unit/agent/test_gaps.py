"""Gaps in measuring: since the agent last ran, and while its machine slept."""

from datetime import UTC, datetime, timedelta

import pytest

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.gaps import Heartbeat, make_gap

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
BOOT, OTHER_BOOT = "ab" * 8, "cd" * 8


def clock_at(monotonic: float, time: datetime = NOON) -> DisciplinedClock:
    return DisciplinedClock(lambda: time, boot=BOOT, monotonic=lambda: monotonic)


@pytest.mark.parametrize(
    ("heartbeat", "seconds"),
    [
        (Heartbeat(NOON, BOOT, 100.0), 900.0),
        (Heartbeat(NOON, BOOT, 997.0), None),
        (Heartbeat(NOON, OTHER_BOOT, 100.0), None),
        (Heartbeat(NOON, BOOT, 5000.0), None),
        (Heartbeat(NOON - timedelta(seconds=5), OTHER_BOOT, 100.0), None),
        (Heartbeat(NOON - timedelta(hours=3), OTHER_BOOT, 100.0), 3 * 3600),
        (Heartbeat(NOON - timedelta(hours=3), BOOT, 5000.0), 3 * 3600),
    ],
    ids=str,
)
def test_the_monotonic_clock_counts_within_a_boot_and_the_wall_clock_over_boots(
    heartbeat: Heartbeat, seconds: float | None
) -> None:
    gap = heartbeat.gap_since(clock_at(1000.0))
    assert (None if gap is None else gap.seconds) == seconds
    if gap is not None:
        assert (gap.target, gap.scope, gap.failure) == ("@gap", "local", "interrupted")
        assert gap.time == NOON - timedelta(seconds=gap.seconds)


@pytest.mark.parametrize("wrong", [timedelta(days=-730), timedelta(hours=6)], ids=str)
def test_a_stepped_clock_neither_makes_nor_hides_a_gap(wrong: timedelta) -> None:
    stepped = clock_at(1000.0, NOON + wrong)
    assert Heartbeat(NOON, BOOT, 997.0).gap_since(stepped) is None
    gap = Heartbeat(NOON, BOOT, 100.0).gap_since(stepped)
    assert gap is not None
    assert (gap.time, gap.seconds) == (NOON + wrong - timedelta(seconds=900), 900)


def test_a_heartbeat_reads_the_agents_clock() -> None:
    assert Heartbeat.read(clock_at(100.0)) == Heartbeat(NOON, BOOT, 100.0)


def test_a_short_gap_is_not_reported() -> None:
    assert make_gap(0.5, NOON) is None
    gap = make_gap(7200.0, NOON)
    assert gap is not None
    assert (gap.time, gap.seconds) == (NOON - timedelta(seconds=7200), 7200)

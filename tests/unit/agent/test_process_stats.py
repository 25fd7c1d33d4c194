"""Process statistics, and the gap since the agent last ran."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from netwatch.agent.clock import DisciplinedClock
from netwatch.agent.gaps import GapDetector, seconds_since, write_heartbeat
from netwatch.agent.process_stats import ProcessStats, ProcessStatsCollector
from netwatch.model.measurement import Measurement

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)


def clock_at(monotonic: float, boot: str = "ab" * 8) -> DisciplinedClock:
    return DisciplinedClock(lambda: NOON, boot=boot, monotonic=lambda: monotonic)


def run(probe: str, scope: str) -> Measurement:
    failure = scope and "generic_timeout_error"
    return Measurement(
        "one", probe, NOON, failure or None, scope, host_responded=not scope, seconds=0.1
    )


def test_runs_are_counted_by_probe_and_outcome() -> None:
    stats = ProcessStatsCollector()
    for probe, scope in (("tcp", ""), ("tcp", ""), ("tcp", "timeout"), ("dns", "local")):
        stats.count(run(probe, scope))
    found = stats.collect(NOON.isoformat())
    assert found.probes == {"dns": {"local": 1}, "tcp": {"ok": 2, "timeout": 1}}
    assert 5 < found.memory_megabytes < 5000
    assert found.open_files is None or found.open_files >= 3
    assert msgspec.json.decode(msgspec.json.encode(found), type=ProcessStats) == found


def test_loop_lag_is_the_99th_percentile() -> None:
    stats = ProcessStatsCollector()
    assert stats.collect("").loop_lag_milliseconds == 0
    for number in range(200):
        stats.add_lag(0.5 if number in {3, 7, 9} else -0.001)
    assert stats.collect("").loop_lag_milliseconds == 500
    for _ in range(600):
        stats.add_lag(0.01)
    assert stats.collect("").loop_lag_milliseconds == 10


@pytest.mark.parametrize(
    ("heartbeat", "seconds"),
    [
        (write_heartbeat(clock_at(100.0)), 900.0),
        (write_heartbeat(clock_at(100.0, boot="cd" * 8)), None),
        (write_heartbeat(clock_at(5000.0)), None),
        (None, None),
        (b"\xff garbage", None),
        (b"", None),
    ],
    ids=str,
)
def test_a_heartbeat_of_this_boot_gives_the_seconds_since(
    heartbeat: bytes | None, seconds: float | None
) -> None:
    assert seconds_since(heartbeat, clock_at(1000.0)) == seconds


@pytest.mark.parametrize("wrong", [timedelta(days=-730), timedelta(hours=6)], ids=str)
def test_a_stepped_clock_neither_makes_nor_hides_a_gap(wrong: timedelta) -> None:
    gaps = GapDetector()
    assert gaps.at_start(NOON, NOON + wrong, exact=3.0) is None
    gap = gaps.at_start(NOON, NOON + wrong, exact=900.0)
    assert gap is not None
    assert (gap.time, gap.seconds) == (NOON + wrong - timedelta(seconds=900), 900)

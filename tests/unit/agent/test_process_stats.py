"""What an agent counts of itself, and how it knows for how long it was not there."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from netwatch.agent.gaps import GapWatch, since_mark, write_mark
from netwatch.agent.process_stats import ProcessStats, ProcessStatsCollector
from netwatch.model.measurement import Measurement

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)


def run(probe: str, scope: str) -> Measurement:
    failure = scope and "generic_timeout_error"
    return Measurement(
        "one", probe, NOON, failure or None, scope, host_responded=not scope, seconds=0.1
    )


def test_runs_are_counted_by_probe_and_outcome() -> None:
    metrics = ProcessStatsCollector()
    for probe, scope in (("tcp", ""), ("tcp", ""), ("tcp", "timeout"), ("dns", "local")):
        metrics.count(run(probe, scope))
    taken = metrics.take(NOON.isoformat())
    assert taken.probes == {"dns": {"local": 1}, "tcp": {"ok": 2, "timeout": 1}}
    assert 5 < taken.memory_megabytes < 5000
    assert taken.open_files is None or taken.open_files >= 3
    assert msgspec.json.decode(msgspec.json.encode(taken), type=ProcessStats) == taken


def test_the_worst_of_a_hundred_is_told() -> None:
    metrics = ProcessStatsCollector()
    assert metrics.take("").loop_lag_milliseconds == 0
    for number in range(200):
        metrics.woke(0.5 if number in {3, 7, 9} else -0.001)
    assert metrics.take("").loop_lag_milliseconds == 500
    for _ in range(600):
        metrics.woke(0.01)
    assert metrics.take("").loop_lag_milliseconds == 10


@pytest.mark.parametrize(
    ("mark", "passed"),
    [
        (write_mark("ab" * 8, 100.0), 900.0),
        (write_mark("cd" * 8, 100.0), None),
        (write_mark("ab" * 8, 5000.0), None),
        (None, None),
        (b"\xff garbage", None),
        (b"", None),
    ],
    ids=str,
)
def test_a_mark_tells_how_long_ago_it_was_in_this_run_of_the_machine(
    mark: bytes | None, passed: float | None
) -> None:
    assert since_mark(mark, "ab" * 8, 1000.0) == passed


@pytest.mark.parametrize("wrong", [timedelta(days=-730), timedelta(hours=6)], ids=str)
def test_a_clock_that_was_set_meanwhile_makes_no_gap_and_hides_none(wrong: timedelta) -> None:
    watch = GapWatch()
    assert watch.at_start(NOON, NOON + wrong, exact=3.0) is None
    gap = watch.at_start(NOON, NOON + wrong, exact=900.0)
    assert gap is not None
    assert (gap.time, gap.seconds) == (NOON + wrong - timedelta(seconds=900), 900)

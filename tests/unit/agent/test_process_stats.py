"""The resources and probe counts of the agent's own process."""

from datetime import UTC, datetime

import msgspec

from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.process_stats import ProcessStats, ProcessStatsCollector
from netwatch.model.measurement import Measurement

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)


def run(probe: str, scope: str) -> Measurement:
    failure = scope and "generic_timeout_error"
    return Measurement(
        "one", probe, NOON, failure or None, scope, host_responded=not scope, seconds=0.1
    )


def test_runs_are_counted_by_probe_and_outcome() -> None:
    stats = ProcessStatsCollector(LoopLagMonitor())
    for probe, scope in (("tcp", ""), ("tcp", ""), ("tcp", "timeout"), ("dns", "local")):
        stats.count(run(probe, scope))
    collected = stats.collect(NOON.isoformat())
    assert collected.probes == {"dns": {"local": 1}, "tcp": {"ok": 2, "timeout": 1}}
    assert 5 < collected.memory_megabytes < 5000
    assert collected.open_files is None or collected.open_files >= 3
    assert msgspec.json.decode(msgspec.json.encode(collected), type=ProcessStats) == collected

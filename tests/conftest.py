"""Records that many tests share."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from real_time import is_real_time

from netwatch.model.baseline_basis import Baseline, BaselineKind
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import (
    AffectedEntity,
    Incident,
    IncidentState,
    Post,
    RevisionReason,
)
from netwatch.model.percent import Precision, PublishedPercent

SLOW = {
    "unit/agent/measure/test_measure_loop.py",
    "unit/agent/spool/test_spool_disk.py",
    "unit/agent/spool/test_spool_limits.py",
    "unit/agent/test_loop.py",
    "unit/analysis/test_loop.py",
    "unit/analysis/test_restart.py",
    "unit/benchmarks/test_run.py",
    "unit/cli/test_observatory.py",
    "unit/cli/test_outages.py",
    "unit/cli/test_store.py",
    "unit/collector/test_clock_jumps.py",
    "unit/detect/test_adaptive_binning.py",
    "unit/detect/test_detector.py",
    "unit/detect/test_drills.py",
    "unit/detect/test_fusion.py",
    "unit/detect/test_holidays_calendar.py",
    "unit/detect/test_level_shift.py",
    "unit/detect/test_shape_pooling.py",
    "unit/lab/backtest/test_runner.py",
    "unit/lab/backtest/test_runner_bad.py",
    "unit/lab/backtest/test_runner_page.py",
    "unit/probes/test_hostile.py",
    "unit/probes/test_quic.py",
    "unit/probes/test_traceroute_hops.py",
    "unit/signals/attribution/test_model.py",
    "unit/signals/presence/test_mass_disconnect.py",
    "unit/signals/test_liars.py",
    "unit/sources/test_long_table.py",
    "unit/store/test_compaction.py",
    "unit/store/test_recovery.py",
    "unit/store/test_rollup.py",
    "unit/test_config.py",
}
"""Test files that take over 1.5 seconds: `make test` runs them, `make check` does not."""

IRAN = Entity.parse("country:IR")
TEHRAN = Entity.parse("region:IR-23")


def at(day: int, hour: int, minute: int = 30) -> datetime:
    """Return an instant of November 2019, UTC."""
    return datetime(2019, 11, day, hour, minute, tzinfo=UTC)


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Schedule by file with `--dist loadscope`."""
    if config.option.dist != "loadscope":
        return None
    from scheduling import RealTimeScheduling  # noqa: PLC0415 - it needs pytest-xdist

    return RealTimeScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Start one worker more than processors: that of the real-time tests mostly waits."""
    processors = os.cpu_count()
    return processors + 1 if processors and config.option.dist == "loadscope" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the files in `SLOW`."""
    for item in items:
        if relative_path(item) in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a worker without real-time tests yield the processor to the one that has them."""
    in_parallel = "PYTEST_XDIST_WORKER" in os.environ
    if in_parallel and not is_real_time(relative_path(item)) and os.nice(0) < 10:
        os.nice(10)


def relative_path(item: pytest.Item) -> str:
    """Return the path of a test's file, relative to this folder."""
    return item.path.relative_to(Path(__file__).parent).as_posix()


@pytest.fixture
def make_incident() -> Callable[..., Incident]:
    """The record of Iran at 17 Nov 2019 05:30 UTC, changed as a test asks."""
    seven = PublishedPercent(7.0, 4.5, 10.0, Precision.EXACT)
    base = Incident(
        id="NW-IR-2019-0042",
        revision=1,
        state=IncidentState.CONFIRMED,
        reason=RevisionReason.CONFIRMED,
        entity=IRAN,
        started_at=at(16, 16),
        started_low=at(16, 15),
        started_high=at(16, 17),
        ended_at=None,
        provisional_at=at(16, 18),
        confirmed_at=at(16, 19),
        at=at(17, 5),
        percent=seven,
        trough=seven,
        trough_at=at(17, 5),
        progressive_hours=12,
        networks_lost=11,
        networks_measured=12,
        affected=(AffectedEntity(Entity.parse("asn:44244"), at(16, 16), None, 3.0),),
        signals=(("reachability", True), ("bgp", None)),
        evidence_level=3,
        baseline=Baseline(BaselineKind.HOUR_OF_WEEK, 28, frozen_since=at(16, 15)),
    )

    def make(**changes: object) -> Incident:
        return replace(base, **changes)

    return make


@pytest.fixture
def make_post() -> Callable[..., Post]:
    """A post of revision 1, changed as a test asks."""
    base = Post(
        key="a" * 64,
        incident="NW-IR-2019-0042",
        revision=1,
        channel="console",
        language="en",
        kind="confirmed",
        text="CONFIRMED · Iran: internet connectivity is at 7% of ordinary levels.",
        alternative="Line chart: internet connectivity in Iran.",
        created_at=at(17, 6),
    )

    def make(**changes: object) -> Post:
        return replace(base, **changes)

    return make


@pytest.fixture
def iran() -> EntityTree:
    """Iran with one region and one network."""
    return EntityTree(
        [
            EntityInfo(IRAN, "Iran", timezone="Asia/Tehran"),
            EntityInfo(TEHRAN, "Tehran", parent=IRAN, weight=4.0),
            EntityInfo(Entity.parse("asn:44244"), "IranCell", parent=TEHRAN),
        ]
    )

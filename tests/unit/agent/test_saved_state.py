"""The state that survives a restart; a damaged one is ignored."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from netwatch.agent.gaps import Heartbeat
from netwatch.agent.health.loop_lag import LoopLagMonitor
from netwatch.agent.measure.budget import DailyBudget
from netwatch.agent.process_stats import ProcessStatsCollector
from netwatch.agent.saved_state import RunState, SavedState, load_state, save_state
from netwatch.agent.spool.schema import MetaKey
from netwatch.agent.spool.spool import Spool
from netwatch.model.measurement import Vantage

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
STATE = SavedState(
    Heartbeat(NOON, "ab" * 8, 100.0),
    DailyBudget(spent=100_000, change_probes=1, burst_seconds=60.0),
    ProcessStatsCollector(LoopLagMonitor()).collect(NOON.isoformat()),
)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool.sqlite", vantage=Vantage("a1"), created_at=NOON) as opened:
        yield opened


def test_what_is_saved_is_loaded(spool: Spool) -> None:
    assert load_state(spool, SavedState) is None
    save_state(spool, STATE)
    assert load_state(spool, SavedState) == STATE


@pytest.mark.parametrize(
    "change", [{"spent": "much"}, {"spent": -5}, {"change_probes": -1}, {"burst_seconds": -1.0}]
)
def test_damaged_counts_are_ignored(spool: Spool, change: dict[str, object]) -> None:
    state = msgspec.to_builtins(STATE)
    state["budget"].update(change)
    spool.set_meta(MetaKey.AGENT_STATE, msgspec.json.encode(state))
    assert load_state(spool, RunState) is None


def test_the_budget_survives_statistics_of_another_version(spool: Spool) -> None:
    state = msgspec.to_builtins(STATE)
    state["stats"] = {"uptime": "3 h"}
    spool.set_meta(MetaKey.AGENT_STATE, msgspec.json.encode(state))
    assert load_state(spool, SavedState) is None
    assert load_state(spool, RunState) == RunState(STATE.heartbeat, STATE.budget)


@pytest.mark.parametrize("damaged", [b"", b"{", b'"x"', b"\xff\x00 nonsense"])
def test_a_damaged_state_is_ignored(spool: Spool, damaged: bytes) -> None:
    spool.set_meta(MetaKey.AGENT_STATE, damaged)
    assert load_state(spool, RunState) is None

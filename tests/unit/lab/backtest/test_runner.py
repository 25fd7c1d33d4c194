"""A backtest: the same bytes for any number of workers, and no incidents without data."""

import json
import os
import signal
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from netwatch.analysis.pipeline import Pipeline
from netwatch.config import IncidentConfig
from netwatch.detect.detector import BayesFilterDetector
from netwatch.detect.state import SeriesState
from netwatch.incidents.tracker import Tracker
from netwatch.lab.backtest import executors
from netwatch.lab.backtest.output import plain_incident, write_backtest
from netwatch.lab.backtest.partition import make_grid, min_history
from netwatch.lab.backtest.runner import Backtest, BacktestOptions, backtest_series, run_backtest
from netwatch.model.entities import Entity, EntityTree
from netwatch.model.errors import InputError, WorkerError
from netwatch.model.series import SeriesKey
from netwatch.sources.long_table import SeriesTable, make_series_table

COUNTRIES = ("XA", "XB", "XC", "XD", "XE", "XF")
HOURS = pd.date_range("2024-01-01", periods=24 * 6, freq="h", tz="UTC")
DAY = 24


def world() -> pd.DataFrame:
    """Six countries of three networks and two lone networks, with losses and a signal at fault."""
    random = np.random.default_rng(7)
    rows = []
    for place, country in enumerate((*COUNTRIES, "")):
        for number in range(3 if country else 2):
            entity = f"asn:{64500 + 10 * place + number}"
            for name in ("probing", "bgp"):
                values = random.poisson(400, len(HOURS)).astype(float)
                if country == "XB" and name == "probing":
                    values[3 * DAY + 2 : 3 * DAY + 14] *= 0.05
                if not country and number == 1:
                    values[4 * DAY : 4 * DAY + 9] = 0
                if name == "bgp":
                    values[4 * DAY + 12 : 4 * DAY + 16] *= 0.6
                parent = f"country:{country}" if country else ""
                rows.append(
                    pd.DataFrame(
                        {"time": HOURS, "signal": name, "entity": entity, "value": values}
                    ).assign(parent=parent)
                )
    return pd.concat(rows, ignore_index=True)


@pytest.fixture(scope="module")
def table() -> SeriesTable:
    return make_series_table(world(), Path("world"))


@pytest.fixture(scope="module")
def one_process(table: SeriesTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expected")
    write(backtest_series(table), folder)
    return folder


def write(result: Backtest, folder: Path) -> None:
    write_backtest(result.long_levels(), result.incidents, folder)


def assert_same_bytes(result: Backtest, expected: Path, folder: Path) -> None:
    write(result, folder)
    for name in ("levels.parquet", "incidents.json"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes(), name


def test_losses_are_found_and_a_faulty_signal_opens_no_incident(one_process: Path) -> None:
    incidents = json.loads((one_process / "incidents.json").read_text())
    assert [(one["entity"], one["started_at"]) for one in incidents] == [
        ("country:XB", "2024-01-04T02:00:00Z"),
        ("asn:64561", "2024-01-05T00:00:00Z"),
    ]
    assert incidents[0]["children"]


@pytest.mark.parametrize("series", [1, 7, 16])
def test_the_size_of_partitions_changes_no_byte(
    table: SeriesTable, one_process: Path, tmp_path: Path, series: int
) -> None:
    result = backtest_series(table, options=BacktestOptions(partition_series=series))
    assert_same_bytes(result, one_process, tmp_path)


@pytest.mark.parametrize("workers", [2, 3])
def test_the_number_of_workers_changes_no_byte(
    table: SeriesTable, one_process: Path, tmp_path: Path, workers: int
) -> None:
    result = backtest_series(table, options=BacktestOptions(workers, partition_series=4))
    assert_same_bytes(result, one_process, tmp_path)


def test_spans_change_nothing_against_one_bin_at_a_time(
    table: SeriesTable, one_process: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.lab.backtest.runner._MAX_SPAN", 1)
    result = backtest_series(table, options=BacktestOptions(partition_series=4))
    assert_same_bytes(result, one_process, tmp_path)


def test_the_order_of_rows_changes_no_byte(one_process: Path, tmp_path: Path) -> None:
    shuffled = world().sample(frac=1, random_state=3)
    result = backtest_series(make_series_table(shuffled, Path("world")))
    assert_same_bytes(result, one_process, tmp_path)


def test_a_live_system_finds_the_same_incidents(table: SeriesTable) -> None:
    """Every level of every bin goes to the tracker there, and here those that may matter."""
    tree = EntityTree(sorted(table.places, key=lambda place: place.entity))
    detector = BayesFilterDetector(
        tree, width=table.width, min_history=min_history(make_grid(table), None)
    )
    tracker = Tracker(tree, width=table.width, config=IncidentConfig())
    pipeline = Pipeline(detector, tracker, lambda _: [])
    bins = list(table.bins())
    newest = {}
    for time_ in HOURS:
        now = time_.to_pydatetime()
        result = pipeline.step(now, [one for one in bins if one.time == now])
        newest |= {revision.id: revision for revision in result.revisions}
    ours = backtest_series(table).incidents
    assert {one.id for one in ours} == set(newest)
    for one in ours:
        live, played = plain_incident(newest[one.id]), plain_incident(one)
        assert played == live


def test_a_killed_worker_gives_a_one_line_error_and_writes_nothing(
    table: SeriesTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    start = executors.ProcessExecutor.__init__

    def watched(self: executors.ProcessExecutor, *arguments: object) -> None:
        start(self, *arguments)  # type: ignore[arg-type]
        started.append(self)

    def kill(share: float) -> None:
        if share > 0.3:
            os.kill(started[0]._processes[1].pid or 0, signal.SIGKILL)
            started[0]._processes[1].join()

    monkeypatch.setattr(executors.ProcessExecutor, "__init__", watched)
    with pytest.raises(WorkerError, match=r"worker 2 of 2 .* was killed by SIGKILL; nothing"):
        backtest_series(table, options=BacktestOptions(2, progress=kill, partition_series=4))
    assert not any(process.is_alive() for process in started[0]._processes)


def test_times_that_leave_no_data_are_refused() -> None:
    first, last = HOURS[0].to_pydatetime(), HOURS[-1].to_pydatetime()
    with pytest.raises(InputError, match="to learn from"):
        run_backtest(world(), training_until=first)
    with pytest.raises(InputError, match="to judge"):
        run_backtest(world(), training_until=last + timedelta(hours=1))


def test_a_series_of_three_points_is_named_and_makes_no_incident() -> None:
    table = pd.DataFrame(
        {
            "time": HOURS[[0, 60, 100]], "signal": "probing",
            "entity": "asn:64700", "value": [100.0, 0.0, 0.0],
        }
    )  # fmt: skip
    result = backtest_series(make_series_table(pd.concat([world(), table]), Path("world")))
    [(entity, why)] = result.unjudged.items()
    assert str(entity) == "asn:64700"
    assert why.startswith("not enough data: 3 values")
    assert "asn:64700" not in {str(one.entity) for one in result.incidents}


def test_an_entity_without_any_value_is_named(table: SeriesTable) -> None:
    empty = world().assign(entity="asn:64999", value=np.nan)
    result = backtest_series(make_series_table(pd.concat([world(), empty]), Path("world")))
    assert [str(entity) for entity in result.unjudged] == ["asn:64999"]
    assert not backtest_series(table).unjudged


def test_without_a_level_there_is_no_probability() -> None:
    """Within a loss, ten hours without data are not a return to ordinary."""
    random = np.random.default_rng(1)
    values = random.poisson(400, len(HOURS)).astype(float)
    values[4 * DAY : 4 * DAY + 16] *= 0.04
    values[4 * DAY + 3 : 4 * DAY + 13] = np.nan
    frame = pd.DataFrame(
        {"time": HOURS, "signal": "probing", "entity": "asn:64500", "value": values}
    )
    levels = backtest_series(make_series_table(frame, Path("gap"))).levels
    assert levels.probability is not None
    np.testing.assert_array_equal(np.isnan(levels.probability), np.isnan(levels.level))
    assert np.isnan(levels.level[0, 4 * DAY + 3 : 4 * DAY + 13]).all()


def test_a_copy_of_the_state_shares_no_array() -> None:
    state = SeriesState(width=300)
    state.add([SeriesKey("probing", Entity.parse("asn:1"))], HOURS[0].to_pydatetime())
    copy = state.copy()
    pairs = [(state, copy), (state.baseline, copy.baseline), (state.training, copy.training)]
    for one, other in pairs:
        for name in (entry.name for entry in fields(one)):
            left, right = getattr(one, name), getattr(other, name)
            if isinstance(left, np.ndarray):
                assert not np.shares_memory(left, right), name
            if one is state.training:
                assert left is not right, name


def test_files_are_complete_or_absent(
    table: SeriesTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = backtest_series(table)

    def full(_levels: pd.DataFrame, path: Path) -> None:
        path.write_bytes(b"PAR")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("netwatch.lab.backtest.output._write_parquet", full)
    with pytest.raises(InputError, match="No space left"):
        write(result, tmp_path)
    assert list(tmp_path.iterdir()) == []

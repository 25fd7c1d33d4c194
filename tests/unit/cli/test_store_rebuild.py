"""A damaged day is named, skipped, and counted again from the batch log."""

from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from netwatch.app.fleet_admin import open_batch_log
from netwatch.app.wall_clock import now
from netwatch.cli.store import app
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.metrics import CollectorMetrics
from netwatch.config import AnalysisConfig, Config, write_config
from netwatch.model.duration import PositiveDuration
from netwatch.model.measurement import Batch, Measurement, Target, Vantage
from netwatch.model.series import Bin
from netwatch.store.sqlite import SqliteStore
from netwatch.wire.batch_codec import pack_batch

WIDTH = PositiveDuration(hours=1)
TODAY = now().replace(hour=0, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
TARGET = Target("one", "tcp", "192.0.2.1", country="XX")


def closer(batch_log: BatchLog, store: SqliteStore) -> BinCloser:
    return BinCloser(
        batch_log, store, targets={"one": TARGET}, width=WIDTH, metrics=CollectorMetrics()
    )


def bins(store: SqliteStore) -> list[Bin]:
    return list(store.read_bins(TODAY - 5 * DAY, TODAY))


def measure(batch_log: BatchLog, days: int) -> None:
    """Store a measurement of every half hour of the last days."""
    vantage = Vantage("a1", "XX", 64500)
    for sequence in range(days * 48):
        time = TODAY - days * DAY + sequence * timedelta(minutes=30)
        row = Measurement("one", "tcp", time, None, "", host_responded=True, seconds=0.1)
        batch = Batch(vantage, sequence + 1, (row,))
        received = ReceivedBatch(batch, pack_batch(batch), None, time)
        batch_log.add([received], closed_until=None, width=WIDTH)


def test_a_damaged_day_is_counted_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = Config(data=str(tmp_path / "data"), analysis=AnalysisConfig(bin=WIDTH))
    write_config(config, tmp_path / "netwatch.toml")
    path = tmp_path / "data" / "series.sqlite"
    with open_batch_log(config) as batch_log:
        measure(batch_log, 4)
        store = SqliteStore(path)
        closer(batch_log, store).close(TODAY)
        before = bins(store)
        assert len(before) > 90
        list(store.compact(keep=DAY))
        store.close()
    day = TODAY - 3 * DAY
    (victim,) = (tmp_path / "data" / "days").glob(f"{day:%Y-%m-%d}.bins.*")
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)

    store = SqliteStore(path)
    others = [one for one in before if not day <= one.time < day + DAY]
    for _ in range(2):
        assert bins(store) == others, "every other row"
    assert store.damaged_days() == [day.date()]
    assert len([line for line in caplog.messages if victim.name in line]) == 1
    store.close()

    arguments = ["rebuild", "--config", str(tmp_path / "netwatch.toml")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "its bins are counted again" in result.stdout
    with open_batch_log(config) as batch_log:
        store = SqliteStore(path)
        while closer(batch_log, store).recount_late():
            pass
        assert bins(store) == before
        assert store.damaged_days() == []
        store.close()
    assert victim.with_name(f"{victim.name}.damaged").exists()
    assert CliRunner().invoke(app, arguments).stdout == "no damage\n"

"""The embedded store is looked after without being asked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch.app.factories import open_store
from netwatch.config import parse_config
from netwatch.model.entities import Entity
from netwatch.model.series import Bin, SeriesKey
from netwatch.protocols import MaintainedStore
from netwatch.store.sqlite import SqliteStore

KEY = SeriesKey("reachability", Entity.parse("asn:64496"))


def test_past_days_are_sealed_rolled_up_and_dropped(tmp_path: Path) -> None:
    """Bins of three weeks ago are rolled up; those of last week stay as measured."""
    config = parse_config(f'data = "{tmp_path}"\n[stores.sqlite]\nraw_retention = "14d"\n')
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    old, recent = today - timedelta(days=21), today - timedelta(days=7)
    store = open_store(config)
    try:
        bins = [Bin(day + timedelta(minutes=m), KEY, 3, 4) for day in (old, recent) for m in (0, 1)]
        store.put_bins(bins, closed_until=today)
        assert isinstance(store, MaintainedStore)
        store.maintain(datetime.now(UTC))
        assert [one.time for one in store.read_bins(old, today)] == [bins[2].time, bins[3].time]
    finally:
        store.close()
    wider = SqliteStore(tmp_path / "five-minutes" / "series.sqlite")
    try:
        rolled_up = list(wider.read_bins(old, today))
    finally:
        wider.close()
    assert [(one.time, one.value, one.total) for one in rolled_up] == [(old, 6, 8), (recent, 6, 8)]

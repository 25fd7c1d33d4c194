"""The collector's counts reach the dashboards also after exports that failed."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from netwatch.app.dashboard_exporter import InfluxExporter
from netwatch.app.observatory import open_context
from netwatch.config import Config
from netwatch.model.errors import StoreError
from netwatch.store.influx.health_points import HealthPoint
from netwatch.store.memory import MemoryStore

NOW = datetime(2026, 3, 2, tzinfo=UTC)


class FailingDashboards(MemoryStore):
    """A store of dashboard data that is away while `is_away`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.health: list[HealthPoint] = []

    def put_incidents(self, *_: object, **__: object) -> None:
        """Write nothing."""

    def put_places(self, *_: object, **__: object) -> None:
        """Write nothing."""

    def put_health(self, points: Iterable[HealthPoint]) -> None:
        """Keep the points, or fail."""
        written = list(points)
        if self.is_away:
            raise StoreError("the server is away")
        self.health += written


def test_counts_of_a_failed_export_are_in_the_next_one(tmp_path: Path) -> None:
    store = FailingDashboards()
    with open_context(Config(data=str(tmp_path))) as opened:
        exporter = InfluxExporter(replace(opened, store=store))
        for stored, is_away in ((7, False), (2, True), (3, False)):
            opened.metrics.batches.labels("stored").inc(stored)
            store.is_away = is_away
            if is_away:
                with pytest.raises(StoreError):
                    exporter.export(NOW)
            else:
                exporter.export(NOW)
    counted = [one for one in store.health if one.tags.get("stage") == "collector"]
    assert [one.fields["messages"] for one in counted] == [7, 5]

"""Iran, November 2019, judged from each store: the same incidents and posts, byte for byte."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from influx_servers import AS_CORE, fresh_login, open_store

from netwatch.analysis.pipeline import PipelineRunner
from netwatch.app.observatory import make_pipeline
from netwatch.config import Config, PublishConfig
from netwatch.lab.sample_data.catalog import open_series
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import EntityTree
from netwatch.protocols import SeriesStore
from netwatch.store.memory import MemoryStore
from netwatch.store.sqlite import SqliteStore


@contextmanager
def influx(dialect: object = None) -> Iterator[SeriesStore]:
    with fresh_login() as login:
        store = open_store(login, dialect=dialect, page=5_000)
        try:
            yield store
        finally:
            store.close()


def judge(store: SeriesStore, folder: Path) -> tuple[bytes, bytes]:
    """Judge the figures as a live analysis does: from what the store gives back."""
    figures = open_series("iran-2019-11")
    atlas = EntityTree(figures.places)
    config = Config(publish=PublishConfig(channels=("file",)))
    bins = list(figures.bins())
    for first in range(0, len(bins), 700):
        store.put_bins(bins[first : first + 700])
    store.put_bins([], closed_until=bins[-1].time + figures.width)
    pipeline = make_pipeline(config, atlas, width=figures.width)
    ledger = SqlLedger(ledger_url(folder / "ledger.sqlite"))
    try:
        analysis = PipelineRunner(pipeline, store, ledger, width=figures.width)
        while analysis.catch_up():
            pass
        record = [
            (ledger.revisions(incident.id), ledger.outbox.posts(incident.id))
            for incident in ledger.incidents()
        ]
    finally:
        ledger.close()
    span = bins[0].time, bins[-1].time + figures.width
    levels = list(store.read_levels(*span))
    assert len(levels) > 1000
    assert any(posts for _, posts in record)
    return msgspec.json.encode(record), msgspec.json.encode(levels)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    return judge(MemoryStore(), tmp_path_factory.mktemp("memory"))


def test_the_embedded_store_gives_the_same_incidents(
    expected: tuple[bytes, bytes], tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "series.sqlite")
    assert judge(store, tmp_path) == expected
    store.close()


@pytest.mark.parametrize(
    "make",
    [pytest.param(influx, id="influx"), pytest.param(lambda: influx(AS_CORE), id="like-core")],
)
@pytest.mark.timeout(60)
def test_influxdb_gives_the_same_incidents(
    expected: tuple[bytes, bytes], make: Callable[[], object], tmp_path: Path
) -> None:
    with make() as store:
        assert judge(store, tmp_path) == expected

"""The pipeline runner and its loop: every closed bin once, despite crashes."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from netwatch.analysis.loop import run_analysis
from netwatch.analysis.pipeline import PipelineRunner
from netwatch.app.observatory import make_pipeline
from netwatch.config import Config, PublishConfig
from netwatch.lab.sample_data.catalog import open_series
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import EntityTree
from netwatch.model.errors import StoreError
from netwatch.model.incident import Incident, Post
from netwatch.model.series import Bin
from netwatch.protocols import Checkpoint
from netwatch.sources.long_table import SeriesTable
from netwatch.store.memory import MemoryStore

EVER = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
PUBLISH = PublishConfig(channels=("console", "file"))


@dataclass
class CrashingLedger:
    """A ledger that fails before, or right after, a record is written."""

    ledger: SqlLedger
    random: Random
    crashes: int = 0

    def record(
        self,
        revisions: Sequence[Incident],
        posts: Sequence[Post],
        *,
        checkpoint: Checkpoint | None = None,
    ) -> None:
        fate = self.random.random()
        if fate < 0.3:
            self.crashes += 1
            raise StoreError("crashed before the record")
        self.ledger.record(revisions, posts, checkpoint=checkpoint)
        if fate > 0.8:
            self.crashes += 1
            raise StoreError("crashed after the record")

    def checkpoint(self) -> Checkpoint | None:
        return self.ledger.checkpoint()

    def incidents(self) -> list[Incident]:
        return self.ledger.incidents()

    def revisions(self, incident: str) -> list[Incident]:
        return self.ledger.revisions(incident)

    def close(self) -> None:
        self.ledger.close()


@pytest.fixture(scope="module")
def iran() -> SeriesTable:
    return open_series("iran-2019-11")


def new_runner(
    table: SeriesTable, store: MemoryStore, ledger: SqlLedger | CrashingLedger
) -> PipelineRunner:
    """Return a runner as a new process creates it."""
    tree = EntityTree(table.places)
    pipeline = make_pipeline(Config(publish=PUBLISH), tree, width=table.width)
    return PipelineRunner(pipeline, store, ledger, width=table.width)


def record_of(ledger: SqlLedger) -> tuple[list[list[Incident]], list[Post]]:
    """Return all revisions and posts of a ledger."""
    incidents = sorted(one.id for one in ledger.incidents())
    posts = [entry.post for name in incidents for entry in ledger.outbox.posts(name)]
    return [ledger.revisions(name) for name in incidents], posts


@pytest.fixture(scope="module")
def undisturbed(
    iran: SeriesTable, tmp_path_factory: pytest.TempPathFactory
) -> tuple[MemoryStore, SqlLedger]:
    store = MemoryStore()
    bins = list(iran.bins())
    store.put_bins(bins, closed_until=bins[-1].time + iran.width)
    ledger = SqlLedger(ledger_url(tmp_path_factory.mktemp("ledger") / "ledger.sqlite"))
    runner = new_runner(iran, store, ledger)
    assert len(runner.catch_up()) == len({entry.time for entry in bins})
    assert runner.catch_up() == []
    return store, ledger


def close_bins(store: MemoryStore, bins: list[Bin], until: datetime) -> None:
    """Close the bins before `until`, as a collector does."""
    store.put_bins([entry for entry in bins if entry.time < until], closed_until=until)


def test_the_future_is_evaluated_in_its_time(iran: SeriesTable, tmp_path: Path) -> None:
    """Bins that a wrong clock has closed wait; what was evaluated too early is evaluated again."""
    bins, store = list(iran.bins()), MemoryStore()
    ledger = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    start = bins[0].time + 100 * iran.width
    now = [start]
    runner = new_runner(iran, store, ledger)
    runner.clock = lambda: now[0]
    store.put_bins([one for one in bins if one.time < start], closed_until=start + 30 * iran.width)
    assert len(runner.catch_up()) == 100
    assert runner.catch_up() == []
    now[0] = start + 40 * iran.width
    assert len(runner.catch_up()) == 30
    now[0] = start + iran.width
    assert runner.catch_up() == []
    store.reopen(start)
    assert runner.catch_up() == []
    close_bins(store, bins, start + iran.width)
    (result,) = runner.catch_up()
    assert result.time == start
    assert any(level.value is not None for level in result.levels)
    ledger.close()


@pytest.mark.parametrize("survives", [False, True], ids=["killed", "retried"])
@pytest.mark.parametrize("seed", range(4))
def test_the_record_is_the_same_despite_crashes(
    seed: int,
    *,
    survives: bool,
    iran: SeriesTable,
    undisturbed: tuple[MemoryStore, SqlLedger],
    tmp_path: Path,
) -> None:
    random = Random(seed)
    bins, store = list(iran.bins()), MemoryStore()
    ledger = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    crashing = CrashingLedger(ledger, random)
    times = sorted({entry.time for entry in bins})
    end, until = times[-1] + iran.width, times[0]
    runner: PipelineRunner | None = None
    while until < end:
        until = min(end, until + random.randint(1, 24) * iran.width)
        close_bins(store, bins, until)
        while True:
            # A killed process starts again from the checkpoint; a surviving one retries.
            if not survives or runner is None:
                runner = new_runner(iran, store, crashing)
            with contextlib.suppress(StoreError):
                if not runner.catch_up():
                    break
    assert crashing.crashes > 5
    whole_store, whole_ledger = undisturbed
    assert record_of(ledger) == record_of(whole_ledger)
    assert ledger.verify_chain() == []
    assert list(store.read_levels(*EVER)) == list(whole_store.read_levels(*EVER))
    ledger.close()


def test_open_bins_are_not_evaluated(iran: SeriesTable, tmp_path: Path) -> None:
    ledger, store = SqlLedger(ledger_url(tmp_path / "ledger.sqlite")), MemoryStore()
    bins = list(iran.bins())
    store.put_bins(bins)
    runner = new_runner(iran, store, ledger)
    assert runner.catch_up() == []
    close_bins(store, bins, bins[0].time + 3 * iran.width)
    assert [step.time for step in runner.catch_up()] == [
        bins[0].time + number * iran.width for number in range(3)
    ]
    assert runner.catch_up() == []
    checkpoint = ledger.checkpoint()
    assert checkpoint is not None
    assert checkpoint.until == bins[0].time + 3 * iran.width
    ledger.close()


def test_a_long_backlog_is_evaluated_in_parts(
    iran: SeriesTable, undisturbed: tuple[MemoryStore, SqlLedger], tmp_path: Path
) -> None:
    ledger, store = SqlLedger(ledger_url(tmp_path / "ledger.sqlite")), MemoryStore()
    bins = list(iran.bins())
    close_bins(store, bins, bins[-1].time + 1000 * iran.width)
    runner = new_runner(iran, store, ledger)
    lengths = []
    while done := runner.catch_up():
        lengths.append(len(done))
    assert lengths[0] == 500
    assert max(lengths) == 500
    assert sum(lengths) > 1000
    ledger.close()


def test_a_damaged_checkpoint_is_refused(iran: SeriesTable, tmp_path: Path) -> None:
    ledger = SqlLedger(ledger_url(tmp_path / "ledger.sqlite"))
    ledger.record([], [], checkpoint=Checkpoint(EVER[0], b"nonsense"))
    with pytest.raises(StoreError, match="checkpoint: damaged"):
        new_runner(iran, MemoryStore(), ledger)
    ledger.close()


async def test_the_loop_evaluates_new_bins_until_cancelled(
    iran: SeriesTable, tmp_path: Path
) -> None:
    ledger, store = SqlLedger(ledger_url(tmp_path / "ledger.sqlite")), MemoryStore()
    bins = list(iran.bins())
    runner = new_runner(iran, store, ledger)
    task = asyncio.ensure_future(run_analysis(runner, pause=timedelta(milliseconds=5)))

    async def evaluated(until: datetime) -> None:
        async with asyncio.timeout(15):
            while (checkpoint := ledger.checkpoint()) is None or checkpoint.until < until:  # noqa: ASYNC110 - another thread writes it
                await asyncio.sleep(0.01)

    for hours in (2, 5, 60):
        until = bins[0].time + hours * iran.width
        close_bins(store, bins, until)
        await evaluated(until)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert list(store.read_levels(*EVER))
    ledger.close()

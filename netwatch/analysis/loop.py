"""The analysis loop: judges every closed bin once, and never loses its place."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from time import monotonic

from netwatch.analysis.pipeline import Pipeline, PipelineResult, by_interval
from netwatch.model.errors import InputError, StoreError
from netwatch.model.time import EPOCH
from netwatch.protocols import Checkpoint, Ledger, SeriesStore

_LOG = logging.getLogger(__name__)
_CHUNK = 500


class Analysis:
    """Judges what the store says is complete, and writes down what follows.

    Levels go to the store first; then revisions, posts and the checkpoint go to the ledger in
    one transaction. A crash between the two repeats the bins since the checkpoint: the same
    bins give the same levels, revisions and posts, and those that are there already stay.
    """

    def __init__(
        self, pipeline: Pipeline, store: SeriesStore, ledger: Ledger, *, width: timedelta
    ) -> None:
        """Go on from the ledger's checkpoint, or from the first bin."""
        self._pipeline = pipeline
        self._store = store
        self._ledger = ledger
        self._width = width
        checkpoint = ledger.checkpoint()
        self._until = checkpoint.until if checkpoint else None
        if checkpoint:
            pipeline.load(checkpoint.state)
        self._saved = checkpoint.state if checkpoint else pipeline.save()

    def catch_up(self) -> list[PipelineResult]:
        """Judge the complete bins that were not judged yet, 500 intervals at the most.

        Raises:
            StoreError: they could not be read or written down; the next call judges them anew.
        """
        try:
            return self._catch_up()
        except StoreError:
            # What was judged and not written down must not be learned twice.
            self._pipeline.load(self._saved)
            raise

    def _catch_up(self) -> list[PipelineResult]:
        """Judge, and write down what follows."""
        closed = self._store.closed_until()
        if closed is None or (self._until is not None and self._until >= closed):
            return []
        start = self._until or self._first_bin(closed)
        end = min(closed, start + _CHUNK * self._width)
        bins = self._store.read_bins(start, end)
        steps = by_interval(bins, self._width, start=start, end=end)
        done = [self._pipeline.step(time, row) for time, row in steps]
        self._write(done, end)
        return done

    def _first_bin(self, closed: datetime) -> datetime:
        """Return the start of the store's first bin, `closed` where there is none."""
        first = next(iter(self._store.read_bins(EPOCH, closed)), None)
        return first.time if first else closed

    def _write(self, done: list[PipelineResult], end: datetime) -> None:
        """Write down what was judged, and that it was."""
        state = self._pipeline.save()
        try:
            self._store.put_levels([level for step in done for level in step.levels])
        except InputError as error:
            _LOG.warning("levels: %s", error)
        self._ledger.record(
            [revision for step in done for revision in step.revisions],
            [post for step in done for post in step.posts],
            checkpoint=Checkpoint(end, state),
        )
        self._until, self._saved = end, state


async def run_analysis(
    analysis: Analysis, *, pause: timedelta, gauges: dict[str, float] | None = None
) -> None:
    """Judge closed bins as they come, until cancelled; look again every `pause`.

    `gauges` is told `detector_seconds`: how long an interval of the newest look took to judge.
    A store or a ledger that is away is waited for; the first failure of a row is logged.
    """
    failing, done = False, list[PipelineResult]()
    while True:
        try:
            begun = monotonic()
            done = await asyncio.to_thread(analysis.catch_up)
            if done and gauges is not None:
                gauges["detector_seconds"] = (monotonic() - begun) / len(done)
        except StoreError as error:
            if not failing:
                _LOG.warning("the analysis waits: %s", error)
            failing, done = True, []
        else:
            failing = False
        log_results(done)
        if not done:
            await asyncio.sleep(pause.total_seconds())


def log_results(done: Iterable[PipelineResult]) -> None:
    """Log what was judged: every revision, and a warning where our own side failed."""
    for step in done:
        if step.notice:
            _LOG.warning("%s at %s: suspect ourselves", step.notice, step.time)
        for revision in step.revisions:
            _LOG.info(
                "%s revision %d: %s, %s at %s",
                revision.id, revision.revision, revision.reason, revision.entity, revision.at,
            )  # fmt: skip

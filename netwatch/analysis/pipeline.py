"""Runs bins through detector, tracker and composer, and records what follows.

Live analysis and replay share `PipelineRunner`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import msgspec

from netwatch.detect.detector import BayesFilterDetector
from netwatch.incidents.tracker import Tracker
from netwatch.ledger.ledger import SqlLedger
from netwatch.model.errors import InputError, StoreError
from netwatch.model.foreign_bytes import decode_foreign
from netwatch.model.incident import Incident, Post
from netwatch.model.series import Bin, Level
from netwatch.model.signals import AGENTS
from netwatch.model.steady_clock import TOLERANCE
from netwatch.model.time import EPOCH
from netwatch.model.voices import few_voices, is_voices
from netwatch.protocols import Checkpoint, Clock, SeriesStore
from netwatch.signals.presence.disconnects import DisconnectEvidence

_LOG = logging.getLogger(__name__)
_INTERVALS_PER_TRANSACTION = 500
"""Bounds the memory of a long backlog and the work that a crash repeats."""


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """Output of one interval.

    Attributes:
        time: start of the interval.
        levels, revisions, posts: what detector, tracker and composer return.
        operator_alert: one line for the operator when our own side failed, else empty.
    """

    time: datetime
    levels: list[Level]
    revisions: list[Incident]
    posts: list[Post]
    operator_alert: str = ""


class _State(msgspec.Struct):
    detector: bytes
    tracker: bytes


class Pipeline:
    """Detector, tracker and composer in a row; a pure function of the bins so far."""

    def __init__(
        self,
        detector: BayesFilterDetector,
        tracker: Tracker,
        compose: Callable[[Incident], list[Post]],
        *,
        disconnects: Callable[[datetime], DisconnectEvidence] = lambda _: DisconnectEvidence(),
    ) -> None:
        """Create a pipeline; `disconnects` returns evidence from agents that vanish together."""
        self.tracker = tracker
        self._detector = detector
        self._compose = compose
        self._disconnects = disconnects

    def step(self, time: datetime, bins: Sequence[Bin]) -> PipelineResult:
        """Evaluate the interval that starts at `time`."""
        disconnects = self._disconnects(time)
        if disconnects.masked:
            bins = [entry for entry in bins if entry.series.signal != AGENTS]
        self._detector.add_log_likelihoods(disconnects.log_likelihoods)
        few = few_voices(bins)
        bins = [entry for entry in bins if not is_voices(entry)] if few else bins
        levels = self._detector.step(
            time, bins, frozen=self.tracker.frozen(), expected=self.tracker.expected(time)
        )
        revisions = self.tracker.step(levels, few)
        posts = [post for revision in revisions for post in self._compose(revision)]
        return PipelineResult(time, levels, revisions, posts, disconnects.operator_alert)

    def save(self) -> bytes:
        """Return the state of detector and tracker."""
        return msgspec.msgpack.encode(_State(self._detector.save(), self.tracker.save()))

    def load(self, state: bytes) -> None:
        """Restore a saved state.

        Raises:
            StoreError: it is damaged or of another version.
        """
        decoder = msgspec.msgpack.Decoder(_State).decode
        saved = decode_foreign(state, decoder, what="checkpoint: damaged", kind=StoreError)
        self._detector.load(saved.detector)
        self.tracker.load(saved.tracker)


class PipelineRunner:
    """Runs the closed bins of a store through a pipeline and records the results.

    Levels go to the store first; revisions, posts and the checkpoint then go to the ledger in
    one transaction. A crash between the two repeats the bins since the checkpoint, which gives
    the same levels, revisions and posts; those that exist already stay as they are.

    Attributes:
        clock: the present, beyond which nothing is evaluated; None if all bins are of the past.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: SeriesStore,
        ledger: SqlLedger,
        *,
        width: timedelta,
        on_step: Callable[[PipelineResult], None] = lambda _: None,
    ) -> None:
        """Continue from the ledger's checkpoint, or start at the first bin.

        Args:
            pipeline: evaluates the bins.
            store: source of bins and destination of levels.
            ledger: destination of revisions, posts and checkpoints.
            width: width of a bin.
            on_step: called after each interval, before it is recorded.
        """
        self._pipeline = pipeline
        self._store = store
        self._ledger = ledger
        self._width = width
        self._on_step = on_step
        self.clock: Clock | None = None
        checkpoint = ledger.checkpoint()
        self._until = checkpoint.until if checkpoint else None
        if checkpoint:
            pipeline.load(checkpoint.state)
        self._saved = checkpoint.state if checkpoint else pipeline.save()

    def catch_up(self) -> list[PipelineResult]:
        """Evaluate and record the next closed intervals, 500 at most; empty when up to date.

        Raises:
            StoreError: bins cannot be read or results recorded; the next call repeats them.
        """
        try:
            return self._catch_up()
        except StoreError:
            # Bins that are not recorded must not be learned from twice.
            self._pipeline.load(self._saved)
            raise

    def _catch_up(self) -> list[PipelineResult]:
        closed = self._closed_until()
        if closed is None or (self._until is not None and self._until >= closed):
            return []
        start = self._until or self._first_bin(closed)
        end = min(closed, start + _INTERVALS_PER_TRANSACTION * self._width)
        results = []
        bins = self._store.read_bins(start, end)
        for time, interval in by_interval(bins, self._width, start=start, end=end):
            result = self._pipeline.step(time, interval)
            self._on_step(result)
            results.append(result)
        self._record(results, end)
        return results

    def _closed_until(self) -> datetime | None:
        """Return the end of the closed bins, but not beyond the present.

        What was evaluated of the future, by a clock that was wrong, is evaluated again once the
        store has taken the future back.
        """
        closed = self._store.closed_until()
        if self.clock is None or closed is None:
            return closed
        now = self.clock()
        if self._until is not None and self._until > max(closed, now + TOLERANCE):
            _LOG.warning("evaluated until %s, which is in the future: starting again", self._until)
            self._until = closed
        return closed + min(0, (now - closed) // self._width) * self._width

    def _first_bin(self, closed: datetime) -> datetime:
        """Return the start of the store's first bin, `closed` if it has none."""
        first = next(iter(self._store.read_bins(EPOCH, closed)), None)
        return first.time if first else closed

    def _record(self, results: list[PipelineResult], end: datetime) -> None:
        state = self._pipeline.save()
        try:
            self._store.put_levels([level for result in results for level in result.levels])
        except InputError as error:
            _LOG.warning("levels: %s", error)
        self._ledger.record(
            [revision for result in results for revision in result.revisions],
            [post for result in results for post in result.posts],
            checkpoint=Checkpoint(end, state),
        )
        self._until, self._saved = end, state


def by_interval(
    bins: Iterable[Bin], width: timedelta, *, start: datetime, end: datetime
) -> Iterator[tuple[datetime, list[Bin]]]:
    """Yield (time, bins) for every interval from `start` to `end`, empty ones included.

    `bins` are in order of time.
    """
    due = start
    for time, group in groupby(bins, key=lambda entry: entry.time):
        while due < time:
            yield due, []
            due += width
        yield time, list(group)
        due = time + width
    while due < end:
        yield due, []
        due += width

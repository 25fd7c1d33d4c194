"""The real path from rows to incidents: registry, bin closer, store, detector and tracker.

Only the raw log's table of batches is replaced, by rows in memory. Every agent enrolls, and sends
one real batch when it is first seen; what the registry refuses does not count here either.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path

from benchmarks.poisoning.world import START, WIDTH, Member, World
from netwatch.analysis.pipeline import Pipeline, PipelineResult
from netwatch.app.observatory import make_pipeline
from netwatch.collector.agent_tables import IngestResult
from netwatch.collector.batch_log import BatchLog, ReceivedBatch
from netwatch.collector.bin_closer import BinCloser
from netwatch.collector.metrics import CollectorMetrics, by_label
from netwatch.collector.registry import InvitationScope, Registry
from netwatch.collector.review import AmendmentReview
from netwatch.collector.trust_weights import TrustSettings
from netwatch.config import Config
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import EntityTree
from netwatch.model.incident import Incident
from netwatch.model.measurement import Batch, Measurement, Vantage
from netwatch.model.series import Bin, Level, SeriesKey
from netwatch.signals.presence.disconnects import DisconnectEvidence, MassDisconnectDetector
from netwatch.signals.presence.log import PresenceLog, PresenceState, Session
from netwatch.store.memory import MemoryStore
from netwatch.wire.batch_codec import pack_batch
from netwatch.wire.enrollment import EnrollmentRequest

__all__ = ["Observatory", "Outcome", "make_world_pipeline", "retimed"]

Row = tuple[Vantage, Measurement]


@dataclass(slots=True)
class Outcome:
    """What an observatory recorded.

    Attributes:
        levels: by interval.
        revisions: (interval, revision), in order.
        alerts: how often each kind was raised.
        bins: the stored bins of the lie, as they are at the end.
    """

    levels: list[dict[SeriesKey, Level]] = field(default_factory=list)
    revisions: list[tuple[int, Incident]] = field(default_factory=list)
    alerts: dict[str, int] = field(default_factory=dict)
    bins: dict[tuple[datetime, SeriesKey], Bin] = field(default_factory=dict)


def _nobody(_: datetime) -> DisconnectEvidence:
    """Return the evidence where nobody vanishes."""
    return DisconnectEvidence()


def make_world_pipeline(
    world: World,
    disconnects: Callable[[datetime], DisconnectEvidence] = _nobody,
) -> Pipeline:
    """Return the pipeline of an observatory of this world, with the rules as shipped."""
    tree = EntityTree(world.places)
    return make_pipeline(Config(), tree, width=WIDTH, disconnects=disconnects)


class RowLog(BatchLog):
    """The raw log, with rows in memory by the start of their interval."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.rows: dict[datetime, list[Row]] = {}
        self.late: set[datetime] = set()

    def measurements(self, start: datetime, end: datetime) -> Iterator[Row]:
        """See `BatchLog`."""
        for time in sorted(time for time in self.rows if start <= time < end):
            yield from self.rows[time]

    def late_bins(self) -> list[datetime]:
        """See `BatchLog`."""
        return sorted(self.late)

    def clear_late(self, times: Sequence[datetime]) -> None:
        """See `BatchLog`."""
        self.late.difference_update(times)


class Observatory:
    """One observatory, with its files in `folder`."""

    def __init__(
        self, folder: Path, world: World, *, watch_presence: bool = False, review: bool = False
    ) -> None:
        """Start; without `watch_presence` nobody may vanish, without `review` nobody may be late.

        That saves the watch, and a ledger with the review of late measurements.
        """
        self.log = RowLog(folder / "batches.sqlite")
        self.presence = PresenceLog(folder / "presence.sqlite")
        self.store = MemoryStore()
        self._metrics = CollectorMetrics()
        self._ledger = SqlLedger(ledger_url(folder / "ledger.sqlite")) if review else None
        self._registry = Registry(folder / "batches.sqlite")
        self._closer: BinCloser | None = None
        self._targets = world.targets
        self._sequences = count()
        watch = MassDisconnectDetector(self.presence, width=WIDTH) if watch_presence else _nobody
        self.pipeline = make_world_pipeline(world, watch)

    def close(self) -> None:
        """Close all files."""
        for part in (self.log, self.presence, self._registry, self._ledger):
            if part is not None:
                part.close()

    def listen(self, start: datetime) -> None:
        """Begin at `start`: everything before it is closed."""
        self.store.put_bins([], closed_until=start)
        self.presence.mark_listening(start - timedelta(days=31), START + timedelta(days=1))
        self._closer = BinCloser(
            self.log, self.store, targets=self._targets, width=WIDTH, metrics=self._metrics
        )
        self._closer.presence_log = self.presence
        if self._ledger is not None:
            self._closer.review = AmendmentReview(
                self.store, self._ledger.amendments, width=WIDTH, clock=lambda: START
            )
        self.log.trust = TrustSettings(open_weight=Config().fleet.open_weight)

    def admit(self, members: Sequence[Member]) -> None:
        """Enroll agents, those with an owner, and let each be first seen when it was."""
        for member in members:
            if member.owner:
                self._enroll(member)
            self.first_batch(member.vantage, START - member.seen)
            if member.vetted:
                self.log.release(member.vantage.id, width=WIDTH)
            session = Session(
                member.vantage, "broker", "boot", 1, 1, START - member.seen - timedelta(minutes=2)
            )
            self.presence.opened(session)

    def vanish(self, vantages: Sequence[Vantage], at: datetime) -> None:
        """Let the sessions of agents end without a goodbye."""
        names = {vantage.id for vantage in vantages}
        for session in self.presence.sessions(at):
            if session.vantage.id in names:
                self.presence.closed(session, PresenceState.LOST, at=at)

    def first_batch(self, vantage: Vantage, at: datetime) -> bool:
        """Receive a batch; return whether the registry lets this vantage count."""
        row = Measurement("none", "tcp", at, None, "", host_responded=True, seconds=0.1)
        batch = Batch(vantage, next(self._sequences), (row,))
        received = ReceivedBatch(batch, pack_batch(batch), _key(vantage.id), at)
        results = self.log.add([received], closed_until=None, width=WIDTH)
        return results == [IngestResult.STORED]

    def receive(self, rows: Sequence[Row], time: datetime, *, late: bool = False) -> None:
        """Add rows of the interval that starts at `time`."""
        self.log.rows.setdefault(time, []).extend(rows)
        if late:
            self.log.late.add(time)

    def close_bin(self, time: datetime) -> list[Bin]:
        """Close the interval that starts at `time`; return its bins."""
        assert self._closer is not None
        self._closer.close(time + WIDTH)
        return list(self.store.read_bins(time, time + WIDTH))

    def step(self, time: datetime) -> PipelineResult:
        """Close and evaluate the interval that starts at `time`."""
        result = self.pipeline.step(time, self.close_bin(time))
        if self._ledger is not None:
            self.store.put_levels(result.levels)
        return result

    def recount(self) -> None:
        """Count closed intervals with late rows again."""
        assert self._closer is not None
        self._closer.recount_late()

    def alerts(self) -> dict[str, int]:
        """Return how often each kind of alert was raised."""
        return dict(by_label(self._metrics.alerts))

    def _enroll(self, member: Member) -> None:
        vantage, key = member.vantage, _key(member.vantage.id)
        secret = key[:16]
        digest = sha256(secret).digest()
        at = START - member.seen
        scope = InvitationScope(owner=member.owner)
        self._registry.invite(digest, scope, now=at, length=timedelta(days=1))
        request = EnrollmentRequest(
            secret, bytes(32), vantage.id, vantage.country, vantage.asn, "", 1, "0"
        )
        self._registry.enroll(digest, request, key=key, now=at)


def _key(name: str) -> bytes:
    return sha256(name.encode()).digest()


def retimed(bins: Sequence[Bin], shift: timedelta) -> list[Bin]:
    """Return bins at other times."""
    return [replace(bin_, time=bin_.time + shift) for bin_ in bins]

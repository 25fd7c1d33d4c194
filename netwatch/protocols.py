"""The seams: what each part promises to the next, and what may go wrong there.

Every implementation of a Protocol passes the contract suite of that Protocol in
`tests/contracts`; a stranger's does too, through the same entry points.
"""

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from netwatch.model.amendment import Amendment, AmendmentState
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.incident import Incident, Post
from netwatch.model.measurement import Observation, Target
from netwatch.model.percent import PublishedPercent
from netwatch.model.series import Bin, Level, SeriesKey

Clock = Callable[[], datetime]
"""Returns the present, aware UTC. Only `netwatch.app` hands out the real one."""


@dataclass(frozen=True, slots=True)
class MissingRequirement:
    """What this machine lacks to run a probe, and how to fix it, each as one line of text."""

    text: str
    fix: str


Area = Callable[[Entity], str]
"""Returns the code of the country that an entity lies in, empty if it lies in none."""

_Built_co = TypeVar("_Built_co", covariant=True)


class Publish(Protocol):
    """`Transport.publish` or an equivalent function."""

    async def __call__(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Hand a message to the broker; raises TransportError if it does not accept it."""


@dataclass(frozen=True, slots=True)
class Services:
    """The shared parts of the process that a plugin may use.

    Attributes:
        write: writes text to the terminal and flushes it.
        area: country of an entity, by the configured entity tree.
        connect_publisher: returns a function that publishes to the configured broker; raises
            ConfigError if the broker's password is not available.
    """

    folder: Path
    clock: Clock
    write: Callable[[str], object]
    area: Area
    connect_publisher: Callable[[], Publish]


class Plugin(Protocol[_Built_co]):
    """A class that an entry point names: a `Probe`, a `Channel`, a `SeriesStore`, a `Source`."""

    def from_config(self, section: Mapping[str, object], services: Services) -> _Built_co:
        """Return an instance for the plugin's own table of the configuration (a class method).

        The table of channel `x` is `[channels.x]`; it is empty if the configuration has none.
        `netwatch.plugins.decode_section` turns it into a struct.

        Raises:
            ConfigError: an unknown key, a missing key or a wrong value.
        """


@runtime_checkable
class Probe(Protocol):
    """One kind of check. An instance is shared by all concurrent measurements.

    A class that derives from this one inherits the defaults below, which are the cautious ones.

    Attributes:
        cost_bytes: bytes that one run ordinarily moves at most, headers included.
        essential: whether it still runs when most of the daily budget is spent.
        on_change_only: whether it runs after a change of the vantage's health instead of
            periodically.
        in_consent_text: whether the consent text covers it; otherwise hosts agree to it by name.
    """

    name: str
    cost_bytes: int = 20_000
    essential: bool = False
    on_change_only: bool = False
    in_consent_text: bool = False

    async def measure(self, target: Target, *, within: float) -> tuple[Observation, ...]:
        """Probe once and return one observation per layer, in order.

        A network failure never raises: the last observation carries a failure word. The call
        takes at most `within` seconds, plus scheduling.
        """

    def missing_requirement(self) -> MissingRequirement | None:
        """Return what this machine lacks to run the probe; None if nothing."""
        return None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a transport."""

    topic: str
    payload: bytes
    retained: bool = False


class Transport(Protocol):
    """A connection to a broker; use it as an async context manager.

    Guarantee: once `publish` returns, the message reached the broker, not necessarily a
    subscriber, and may arrive more than once. Order holds within one topic. Only the receiver's
    own acknowledgement proves that a message was stored.

    Raises:
        TransportError: from entering, `publish`, `subscribe` and `messages` once the broker
            cannot be reached, or refused the connection. Make a new transport then.
    """

    async def __aenter__(self) -> Self:
        """Connect."""

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1; with `retain`, later subscribers receive the message too."""

    async def subscribe(self, pattern: str) -> None:
        """Subscribe to topics that match an MQTT `pattern` (`+` and `#`)."""

    def messages(self) -> AsyncIterator[Message]:
        """Yield messages until the transport closes or breaks."""


@dataclass(frozen=True, slots=True)
class BinColumns:
    """Bins as columns of one length, for reading millions without an object a bin.

    The views are flat and read-only; `numpy.asarray` takes them up without a copy.

    Attributes:
        keys: the series that occur, in no promised order.
        index: format `q`; row by row, the place in `keys` of the row's series.
        times: format `q`; start of the interval, microseconds since 1970 UTC.
        values, totals: format `d`; a total is NaN where the bin has none.
    """

    keys: tuple[SeriesKey, ...]
    index: memoryview
    times: memoryview
    values: memoryview
    totals: memoryview


class SeriesStore(Protocol):
    """Keeps counts and levels. Counts merge; ratios are never stored as the truth.

    One process writes, any number read meanwhile. Writing the same bins or levels again
    changes nothing: the newest value of a (time, series) stands.

    Raises:
        StoreError: from every method when the engine cannot read or write.
        InputError: from `put_bins` and `put_levels`, after everything sound is written:
            some of what was handed over has no place in a store (a value that is NaN or
            infinite, a time without zone or in the future). Nothing else is lost, and
            trying again cannot help. From reads: `start` or `end` has no zone.
    """

    @classmethod
    def at(cls, location: str) -> Self:
        """Return the store at `location`, which follows `engine:` in an address."""

    def put_bins(self, bins: Sequence[Bin], *, closed_until: datetime | None = None) -> None:
        """Write `bins`; in the same transaction, promise that all before `closed_until` is in.

        The promise never goes back: an earlier `closed_until` leaves it as it is.
        """

    def read_bins(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Bin]:
        """Yield bins with `start <= time < end`, by time, then series; of one series or of all."""

    def read_columns(
        self, start: datetime, end: datetime, *, series: Collection[SeriesKey] | None = None
    ) -> BinColumns:
        """Return the bins of `read_bins` as columns, of some series or of all, in any order."""

    def closed_until(self) -> datetime | None:
        """Return up to when bins are complete, None before the first were written."""

    def reopen(self, time: datetime) -> None:
        """Take the promise of `put_bins` back for all from `time` on.

        Only for a promise about the future, which a wrong clock gave; bins and levels stay.
        """

    def put_levels(self, levels: Sequence[Level]) -> None:
        """Write what the detector read from the bins."""

    def read_levels(
        self, start: datetime, end: datetime, *, series: SeriesKey | None = None
    ) -> Iterator[Level]:
        """Yield levels with `start <= time < end`, by time, then series; of one or of all."""

    def close(self) -> None:
        """Let go of files and connections."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Rows that maintenance wrote to the bins of one resolution, and dropped from them."""

    resolution: str
    written: int
    dropped: int


@runtime_checkable
class MaintainedStore(Protocol):
    """A store that compacts, rolls up or drops old data when asked to."""

    def maintain(self, now: datetime) -> Sequence[Maintenance]:
        """Do what is due at `now` and return it; after a StoreError, the next call continues."""


@runtime_checkable
class DamageReport(Protocol):
    """A store of files that knows which of them it could not read."""

    def damaged_days(self) -> list[date]:
        """Return the UTC days whose data is missing because a file is damaged, as far as known."""


@runtime_checkable
class DashboardStore(Protocol):
    """A store that dashboards read directly, so that incidents and entity names go there too."""

    def put_incidents(
        self,
        incidents: Iterable[Incident],
        *,
        link: str,
        level_text: Callable[[PublishedPercent], str],
    ) -> None:
        """Write annotations: `link` plus an id is a page, `level_text` formats a level."""

    def put_places(self, places: EntityTree, *, at: datetime) -> None:
        """Write the entities and their names, as of `at`."""

    def put_health(self, points: Iterable[Any]) -> None:
        """Write points of `netwatch.store.influx.health_points`."""


class RecordedSeries(Protocol):
    """Series that were read from a file, in bins of `width`, and the entities it describes."""

    width: timedelta
    places: tuple[EntityInfo, ...]

    def bins(self) -> Iterator[Bin]:
        """Yield bins in order of time."""


class Source(Protocol):
    """A reader of files with certain `suffixes`, such as `.csv.gz`, for replays and backtests."""

    suffixes: Collection[str]

    def read(self, path: Path, *, width: timedelta | None = None) -> RecordedSeries:
        """Return the series in a file, with bins of `width` or of the file's own width.

        Raises InputError that names the file, the line and what is invalid.
        """


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All bins before `until` are judged, and this is the state that judging them left."""

    until: datetime
    state: bytes


class OutboxState(StrEnum):
    """Delivery state of a post: `ready`, `sending`, `sent`.

    A post still in `sending` after a crash or a timeout is `unknown`. An idempotent channel
    sends it again; for any other channel it becomes `needs_review`, for a person to decide.
    `failed` is final.
    """

    READY = "ready"
    SENDING = "sending"
    SENT = "sent"
    UNKNOWN = "unknown"
    FAILED = "failed"
    NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """A post and its delivery state.

    Attributes:
        next_at: earliest time of the next attempt.
        changed_at: when `state` last changed.
        reason: why the last attempt failed; empty if none did.
    """

    post: Post
    state: OutboxState
    attempts: int
    next_at: datetime
    changed_at: datetime
    reason: str = ""


class Amendments(Protocol):
    """The ledger's amendments of closed bins; every method may raise StoreError."""

    def replace(self, time: datetime, found: Sequence[Amendment], *, at: datetime) -> None:
        """Record what a new count of the bin at `time` found, in place of what is pending there."""

    def read(
        self,
        states: Collection[AmendmentState],
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        entity: Entity | None = None,
    ) -> list[Amendment]:
        """Return amendments in `states`, of bins from `start` to `end`, by time."""

    def decide(
        self, amendments: Iterable[Amendment], state: AmendmentState, *, at: datetime
    ) -> None:
        """Set the state of amendments, unless it has changed since they were read."""

    def forget(self, start: datetime) -> None:
        """Delete what waits, and what is ordinary, of bins from `start` on."""

    def keep_ordinary(self, time: datetime, values: Mapping[SeriesKey, float]) -> None:
        """Record what the levels of the bin at `time` were judged by; a value once kept stays."""

    def ordinary(self, time: datetime) -> dict[SeriesKey, float]:
        """Return what the levels of the bin at `time` were judged by, as far as it was kept."""


class Outbox(Protocol):
    """Queue of the ledger's posts. One process sends, any number read; all may raise StoreError."""

    def due(self, now: datetime, *, limit: int = 100) -> list[OutboxEntry]:
        """Return posts that are `ready` with `next_at <= now`, in the order they were written.

        A post waits for earlier posts of the same incident, channel and language, so that
        updates stay in order. Posts in `failed` or `needs_review` block nothing.
        """

    def in_state(self, state: OutboxState) -> list[OutboxEntry]:
        """Return every post in `state`, in the order they were written."""

    def posts(self, incident: str) -> list[OutboxEntry]:
        """Return every post about `incident`, in the order they were written."""

    def claim(self, key: str, *, at: datetime) -> bool:
        """Move a `ready` post to `sending` and count the attempt; False if it was not `ready`."""

    def mark(
        self,
        key: str,
        state: OutboxState,
        *,
        at: datetime,
        reason: str = "",
        next_at: datetime | None = None,
    ) -> None:
        """Set the state of a post. A `sent` post stays `sent`.

        `next_at` is when a `ready` post is tried again; None means at once.
        """


@dataclass(frozen=True, slots=True)
class Delivery:
    """Result of one delivery, with the reason of a failure in one line.

    Attributes:
        retryable: whether a later attempt may succeed.
        retry_after: shortest wait that the receiver asked for, None if it named none.
    """

    sent: bool
    reason: str = ""
    retryable: bool = False
    retry_after: timedelta | None = None


class Channel(Protocol):
    """A destination of posts."""

    @property
    def name(self) -> str:
        """Name of this channel in the configuration."""

    @property
    def idempotent(self) -> bool:
        """Whether delivering the same post twice (same key) shows it once."""

    async def deliver(self, post: Post) -> Delivery:
        """Publish `post`; a network failure is returned as a `Delivery`, never raised."""

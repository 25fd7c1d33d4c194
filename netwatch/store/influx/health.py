"""How netwatch itself is doing, as points: what collector, analysis and publisher tell.

Callers make these values and hand them to `InfluxStore.put_health`; the dashboards about
our own health read exactly these. No value names a vantage or an address, and networks
with few vantages are folded into one row before anything is written.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from netwatch.store.influx.line_protocol import FieldValue, nanoseconds, render_fields, render_tags
from netwatch.store.influx.schema import SCHEMA

_FEWEST = 3
_WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class PipelineHealth:
    """What one stage, `collector` or `analysis`, did since its last point.

    Attributes:
        time: when it was counted.
        stage: the stage.
        messages: batches taken in, or bins judged.
        delay_seconds: age of the newest measurement when it was stored.
        backlog: batches that are kept but not yet stored.
        write_errors: writes that the store could not take at the time.
        refused: points that the store will never take.
        detector_seconds: how long the newest interval took to judge.
        pending: incidents that are held back until they are sure.
        suppressed: incidents that a rule keeps from being published.
        breaker_open: 1 while the circuit breaker stops automatic posts, else 0.
    """

    time: datetime
    stage: str
    messages: int | None = None
    delay_seconds: float | None = None
    backlog: int | None = None
    write_errors: int | None = None
    refused: int | None = None
    detector_seconds: float | None = None
    pending: int | None = None
    suppressed: int | None = None
    breaker_open: int | None = None


@dataclass(frozen=True, slots=True)
class FleetHealth:
    """The vantages of one network that run one version of the agent, taken together.

    Attributes:
        time: when it was counted.
        asn: the network's number in decimal.
        version: version of the agent.
        online: vantages that are connected.
        enrolled: vantages that should be.
        silent_seconds: how long the quietest of those online has said nothing.
        queue: batches that wait in their spools.
        clock_offset_ms: the furthest that one of their clocks is off, with its sign.
        rejected: messages refused since the last point.
            What is None is not known, and no zero.
        networks: how many networks the row stands for.
    """

    time: datetime
    asn: str
    version: str
    online: int
    enrolled: int
    silent_seconds: float | None = None
    queue: int | None = None
    clock_offset_ms: float | None = None
    rejected: int | None = None
    networks: int = 1


@dataclass(frozen=True, slots=True)
class OutboxHealth:
    """How many posts of one channel are in one state, and how long the oldest has been."""

    time: datetime
    channel: str
    state: str
    posts: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class ChannelHealth:
    """What is left of a channel's rate limit, as a share from 0 to 1."""

    time: datetime
    channel: str
    headroom: float


@dataclass(frozen=True, slots=True)
class ReviewHealth:
    """The queue of people, and how fast and how right we were.

    Attributes:
        time: when it was counted.
        waiting: claims that wait for a person.
        oldest_seconds: how long the oldest has waited.
        onset_to_post_seconds: from the onset to the first post, of the newest incident.
        corrections: posts that corrected or withdrew another, since the last point.
    """

    time: datetime
    waiting: int
    oldest_seconds: float
    onset_to_post_seconds: float | None = None
    corrections: int | None = None


Health = PipelineHealth | FleetHealth | OutboxHealth | ChannelHealth | ReviewHealth

_MEASUREMENTS: dict[type[Health], str] = {
    PipelineHealth: "pipeline",
    FleetHealth: "fleet",
    OutboxHealth: "outbox",
    ChannelHealth: "channel",
    ReviewHealth: "review",
}


def render_health(point: Health) -> str:
    """Return the line of `point`.

    Raises:
        InputError: a number or a time that InfluxDB cannot hold.
    """
    measurement = _MEASUREMENTS[type(point)]
    schema = SCHEMA[measurement]
    values: dict[str, FieldValue | None] = {}
    for name, kind in schema.fields.items():
        value = getattr(point, name)
        values[name] = None if value is None else kind(value)
    head = render_tags(measurement, {name: getattr(point, name) for name in schema.tags})
    return f"{head} {render_fields(values)} {nanoseconds(point.time)}"


def fold_small_networks(points: Iterable[Health], *, fewest: int = _FEWEST) -> Sequence[Health]:
    """Return `points` with the networks of fewer than `fewest` vantages as one row a version.

    Two volunteers in a small network can be found by who is online when; a row about all
    small networks together says how the fleet is and nothing about them. What is folded
    is judged over all versions of a network, and the folded row has the name `withheld`.
    """
    known = list(points)
    enrolled: Counter[tuple[datetime, str]] = Counter()
    for point in known:
        if isinstance(point, FleetHealth):
            enrolled[point.time, point.asn] += point.enrolled
    folded: dict[tuple[datetime, str], list[FleetHealth]] = {}
    kept: list[Health] = []
    for point in known:
        if isinstance(point, FleetHealth) and enrolled[point.time, point.asn] < fewest:
            folded.setdefault((point.time, point.version), []).append(point)
        else:
            kept.append(point)
    return kept + [_merge(rows) for rows in folded.values()]


def _merge(rows: Sequence[FleetHealth]) -> FleetHealth:
    """Return one row for several small networks."""
    return FleetHealth(
        time=rows[0].time,
        asn=_WITHHELD,
        version=rows[0].version,
        online=sum(row.online for row in rows),
        enrolled=sum(row.enrolled for row in rows),
        silent_seconds=max(_known(row.silent_seconds for row in rows), default=None),
        queue=_sum(row.queue for row in rows),
        clock_offset_ms=max(_known(row.clock_offset_ms for row in rows), key=abs, default=None),
        rejected=_sum(row.rejected for row in rows),
        networks=len({row.asn for row in rows}),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    """Return the values that are known."""
    return [value for value in values if value is not None]


def _sum(values: Iterable[int | None]) -> int | None:
    """Return the sum of what is known, None where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None

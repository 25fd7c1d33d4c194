"""Measurements: what one run of one probe, from one vantage at one target, saw."""

from dataclasses import dataclass
from datetime import datetime

from netwatch.model.clock_samples import ClockSample, ClockSegment
from netwatch.model.entities import Entity, EntityKind


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed, under a stable name that is never an address.

    Attributes:
        id: the stable name.
        probe: name of the probe that asks the question.
        host: name or address to ask.
        port: TCP or UDP port; 0 takes the probe's usual one.
        path: for `http`, the path; for `dns`, the name to look up; for `tls`, `no-sni` or a pin.
        domain, asn, region, country: the entities that the answer speaks for.
        group: a free label, such as `control` or `circumvention`.
    """

    id: str
    probe: str
    host: str
    port: int = 0
    path: str = ""
    domain: str = ""
    asn: int = 0
    region: str = ""
    country: str = ""
    group: str = ""

    def entities(self) -> tuple[Entity, ...]:
        """Return the entities that this target speaks for, widest first."""
        codes = (
            (EntityKind.COUNTRY, self.country),
            (EntityKind.REGION, self.region),
            (EntityKind.ASN, str(self.asn) if self.asn else ""),
            (EntityKind.DOMAIN, self.domain),
        )
        return tuple(Entity(kind, code) for kind, code in codes if code)


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where probes run. Country and network are all that is ever known of its place."""

    id: str
    country: str = ""
    asn: int = 0


@dataclass(frozen=True, slots=True)
class Observation:
    """What happened in one layer of a measurement, not what it means.

    Attributes:
        operation: `resolve`, `connect`, `tls_handshake`, `http_round_trip` …
        failure: a failure word, None when the step succeeded.
        seconds: how long the step took.
        detail: a short fact that the step learned, such as a certificate's hash; never
            an address.
    """

    operation: str
    failure: str | None
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one probe from one vantage at one target.

    Attributes:
        target: the target's id.
        probe: the probe's name.
        time: when it began, aware UTC.
        failure: the failure word of the step that failed, None for success.
        scope: where the failure lies (`netwatch.model.failure.FailureScope`), empty for success;
            `local` where the whole measurement says nothing of its target, success or not.
        alive: whether the target's host gave any answer of its own.
        seconds: how long it took in all.
        observations: one a layer, in the order in which they happened.
        count: how many alike it stands for, where a vantage had to thin what it kept.
    """

    target: str
    probe: str
    time: datetime
    failure: str | None
    scope: str
    alive: bool
    seconds: float
    observations: tuple[Observation, ...] = ()
    count: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Measurements of one vantage that travel, are stored and are acknowledged together.

    `(vantage.id, sequence)` names it for ever: the same pair never carries other content.
    It stands in the place of this vantage's batches in the inclusive ranges `replaces`,
    which it was thinned from; those count no more.

    `timelines` say one after another how the measurements were dated, `readings` what the
    clocks showed when they were sealed; without them, times are taken as they are said.
    """

    vantage: Vantage
    sequence: int
    measurements: tuple[Measurement, ...]
    replaces: tuple[tuple[int, int], ...] = ()
    timelines: tuple[ClockSegment, ...] = ()
    readings: tuple[ClockSample, ...] = ()

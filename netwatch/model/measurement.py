"""Measurements: one run of one probe from one vantage at one target."""

from dataclasses import dataclass
from datetime import datetime

from netwatch.model.clock_samples import ClockSample, ClockSegment
from netwatch.model.entities import Entity, EntityKind


@dataclass(frozen=True, slots=True)
class Target:
    """What is probed, under a stable id that is never an address.

    Attributes:
        host: name or address to probe.
        port: TCP or UDP port; 0 means the probe's default.
        path: for `http`, the path; for `dns`, the name to look up; for `tls`, `no-sni` or a pin.
        domain, asn, region, country: the entities that a measurement counts for.
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
        """Return the entities that a measurement of this target counts for, widest first."""
        codes = (
            (EntityKind.COUNTRY, self.country),
            (EntityKind.REGION, self.region),
            (EntityKind.ASN, str(self.asn) if self.asn else ""),
            (EntityKind.DOMAIN, self.domain),
        )
        return tuple(Entity(kind, code) for kind, code in codes if code)


@dataclass(frozen=True, slots=True)
class Vantage:
    """Where probes run. Its country and network are the only location ever recorded."""

    id: str
    country: str = ""
    asn: int = 0

    def entities(self) -> tuple[Entity, ...]:
        """Return its country and its network, as far as they are known."""
        codes = (
            (EntityKind.COUNTRY, self.country),
            (EntityKind.ASN, str(self.asn) if self.asn else ""),
        )
        return tuple(Entity(kind, code) for kind, code in codes if code)


@dataclass(frozen=True, slots=True)
class Observation:
    """The outcome of one layer of a measurement, without interpretation.

    Attributes:
        operation: `resolve`, `connect`, `tls_handshake`, `http_round_trip` …
        failure: a failure word, None if the step succeeded.
        seconds: duration of the step.
        detail: a short fact, such as a certificate's hash; never an address.
    """

    operation: str
    failure: str | None
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of one probe from one vantage at one target.

    Attributes:
        time: when it began, aware UTC.
        failure: the failure word of the step that failed, None for success.
        scope: a `netwatch.model.failure.FailureScope`, empty for success; `local` if the
            measurement, success or not, says nothing about its target.
        host_responded: whether the target's host gave any answer of its own.
        seconds: total duration.
        observations: one per layer, in order.
        weight: how many similar measurements it stands for after downsampling.
    """

    target: str
    probe: str
    time: datetime
    failure: str | None
    scope: str
    host_responded: bool
    seconds: float
    observations: tuple[Observation, ...] = ()
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Measurements of one vantage that are sent, stored and acknowledged together.

    `(vantage.id, sequence)` identifies a batch for ever: it never carries other content.

    Attributes:
        supersedes: inclusive ranges of this vantage's sequences whose content was merged into
            this batch; those batches no longer count.
        clock_segments: how the measurements were dated; without any, their times are used as sent.
        clock_samples: the vantage's clocks when the measurements were put into the spool.
    """

    vantage: Vantage
    sequence: int
    measurements: tuple[Measurement, ...]
    supersedes: tuple[tuple[int, int], ...] = ()
    clock_segments: tuple[ClockSegment, ...] = ()
    clock_samples: tuple[ClockSample, ...] = ()

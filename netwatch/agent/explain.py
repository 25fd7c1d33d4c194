"""Explains what an agent probes, contacts and sends, before it does so."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from netwatch.agent.health.judge_health import tier_of
from netwatch.agent.measure.budget import BUDGETS, MAX_CHANGE_PROBES
from netwatch.agent.target_policy import ListedTarget, SkippedTarget
from netwatch.config import AgentConfig
from netwatch.model.addresses import is_loopback
from netwatch.model.clock_samples import ClockSample, ClockSegment, ClockSource
from netwatch.model.measurement import Batch, Measurement, Observation, Target, Vantage
from netwatch.model.time import to_millis
from netwatch.protocols import Probe
from netwatch.wire.batch_codec import pack_batch, unpack_batch

_DAY = timedelta(days=1)
_MEASUREMENT_BYTES, _BATCH_BYTES = 11, 330
"""Bytes on the wire of a measurement and of an empty batch (`benchmarks/agent_costs.py`)."""
_EXAMPLE_ROWS = 100
_EXAMPLE_BOOT, _EXAMPLE_UPTIME_MS = "0123456789abcdef", 86_400_000
_EXAMPLE_TIME = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ExplainedTarget:
    """One target, and what probing it costs a day.

    `tier` is A, B or C of the observatory's list, or `own` for a target of the configuration.
    """

    target: str
    probe: str
    host: str
    port: int
    group: str
    daily_runs: int
    daily_bytes: int
    tier: str = "own"
    category: str = ""


@dataclass(frozen=True, slots=True)
class ContactedHost:
    """A host other than a target that the agent contacts; `when` is in plain words.

    `purpose` is `uplink`, `list`, `time`, `router`, `resolver` or `membership`.
    """

    purpose: str
    address: str
    when: str


@dataclass(frozen=True, slots=True)
class ExplainedSkip:
    """A target of the list that is not probed, and the reason."""

    target: str
    host: str
    tier: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExampleBatch:
    """A batch, packed and unpacked again: its own fields, and one of its measurements.

    `message_bytes` is the size of the payload, without the 99 bytes of the signature.
    """

    header: dict[str, object]
    row: dict[str, object]
    rows: int
    message_bytes: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that an agent does; texts are in plain words.

    Attributes:
        daily_bytes: traffic of probing, at most `budget_bytes`.
        daily_sent_bytes: traffic of sending the results.
        contacts: the hosts that it contacts in addition to its targets.
        sent_fields: the content of a batch.
    """

    targets: tuple[ExplainedTarget, ...]
    skipped: tuple[ExplainedSkip, ...]
    daily_bytes: int
    daily_sent_bytes: int
    budget_bytes: int
    sent_fields: tuple[str, ...]
    example: ExampleBatch
    contacts: tuple[ContactedHost, ...] = ()
    other_traffic: tuple[str, ...] = ()
    never_sent: tuple[str, ...] = (
        "your name",
        "this machine's address or name",
        "anything else that this machine does",
        "its location, other than country and network",
    )


def explain(  # noqa: PLR0913 - a vantage and its targets
    vantage: Vantage,
    targets: Sequence[Target],
    config: AgentConfig,
    *,
    probes: Mapping[str, Probe],
    listed: Collection[ListedTarget] = (),
    skipped: Collection[SkippedTarget] = (),
) -> Explanation:
    """Return what an agent does.

    `targets` are those of its own configuration; `listed` and `skipped` are the targets of the
    observatory's list that are probed and those that are not. `probes` state their cost.
    """
    rows = [_explain_target(target, config, probes) for target in targets]
    rows += [
        _explain_target(one.target, config, probes, tier=one.tier.value, category=one.category)
        for one in listed
    ]
    runs = sum(row.daily_runs for row in rows)
    batches = min(runs, _DAY // config.flush_interval)
    budget = BUDGETS[config.budget]
    return Explanation(
        targets=tuple(rows),
        skipped=tuple(
            ExplainedSkip(one.listed.target.id, one.listed.target.host, one.listed.tier, one.reason)
            for one in skipped
        ),
        daily_bytes=min(sum(row.daily_bytes for row in rows), budget),
        daily_sent_bytes=runs * _MEASUREMENT_BYTES + batches * _BATCH_BYTES,
        budget_bytes=budget,
        sent_fields=(
            f"the agent's name: {vantage.id}",
            f"the country: {vantage.country or 'not sent'}",
            f"the network's number (ASN): {vantage.asn or 'not sent'}",
            "each measurement: target, time, success or failure, and the duration of each step",
            "readings of its clocks, and a random id of the machine's boot",
            "when the agent was off or paused and why, and whether its own line worked",
        ),
        example=_example(vantage, rows[0] if rows else None),
        other_traffic=_other_traffic(rows, config),
    )


def _other_traffic(rows: Sequence[ExplainedTarget], config: AgentConfig) -> tuple[str, ...]:
    if all(is_loopback(row.host) for row in rows):
        return ()
    seconds = config.witness_period.total_seconds()
    texts = [
        f"every {seconds:.0f} s it checks that your own router responds (the result stays here)",
        "when a target fails for the first time it probes that target and one control again",
    ]
    if config.burst:
        texts.append(
            "when your line changes it probes five times as often, for 30 minutes a day at most"
        )
    return tuple(texts)


def _explain_target(
    target: Target,
    config: AgentConfig,
    probes: Mapping[str, Probe],
    *,
    tier: str = "own",
    category: str = "",
) -> ExplainedTarget:
    period = config.period
    probe = probes.get(target.probe, Probe)
    if tier_of(target) is not None:
        period = min(period, config.witness_period)
    runs = MAX_CHANGE_PROBES if probe.on_change_only else int(_DAY / period)
    return ExplainedTarget(
        target=target.id,
        probe=target.probe,
        host=target.host,
        port=target.port,
        group=target.group,
        daily_runs=runs,
        daily_bytes=runs * probe.cost_bytes,
        tier=tier,
        category=category,
    )


def _example(vantage: Vantage, row: ExplainedTarget | None) -> ExampleBatch:
    measurement = Measurement(
        target=row.target if row else "root-f",
        probe=row.probe if row else "dns",
        time=_EXAMPLE_TIME,
        failure="generic_timeout_error",
        scope="timeout",
        host_responded=False,
        seconds=10.0,
        observations=(Observation("connect", "generic_timeout_error", 10.0),),
    )
    boot, uptime, wall = _EXAMPLE_BOOT, _EXAMPLE_UPTIME_MS, to_millis(_EXAMPLE_TIME)
    batch = Batch(
        vantage,
        sequence=1,
        measurements=(measurement,) * _EXAMPLE_ROWS,
        clock_segments=(ClockSegment(boot, wall - uptime, after_sequence=1, rows=_EXAMPLE_ROWS),),
        clock_samples=(ClockSample(boot, uptime, wall, ClockSource.KERNEL, synced=True, error=20),),
    )
    payload = pack_batch(batch)
    received = unpack_batch(payload)
    header: dict[str, object] = msgspec.to_builtins(received)
    del header["measurements"]
    row_sent = msgspec.to_builtins(received.measurements[0])
    return ExampleBatch(header, row_sent, _EXAMPLE_ROWS, len(payload))

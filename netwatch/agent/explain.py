"""What will be probed, how often, and what will be sent, before anything is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec

from netwatch.agent.health.health import tier_of
from netwatch.agent.measure.budget import BUDGETS, MAX_CHANGE_PROBES
from netwatch.agent.target_policy import ListedTarget, SkippedTarget
from netwatch.config import AgentConfig
from netwatch.model.addresses import is_loopback
from netwatch.model.clock_samples import ClockSample, ClockSegment, ClockSource
from netwatch.model.measurement import Batch, Measurement, Observation, Target, Vantage
from netwatch.protocols import Probe
from netwatch.wire.batch_codec import pack_batch, unpack_batch

_DAY = timedelta(days=1)
_SENT_BYTES, _BATCH_BYTES = 11, 330
"""Bytes that a measurement takes on the wire, and a batch besides; see
`benchmarks/agent_costs.py`."""
_ROWS = 100
_BOOT, _UPTIME = "0123456789abcdef", 86_400_000
_ONCE = datetime(2026, 1, 8, 16, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ExplainedTarget:
    """One target: what is asked, where, how often a day, what that costs, and who wants it.

    Attributes:
        tier: A, B or C of the observatory's list; `own` for what this machine's own
            configuration names.
        category: of tier C.
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
    """Somebody that this machine contacts beside its targets.

    Attributes:
        purpose: `uplink`, `list`, `time`, `router`, `resolver` or `membership`.
        address: where: `host:port`, a URL, or an address of this machine's own network.
        when: how and how often, in plain words.
    """

    purpose: str
    address: str
    when: str


@dataclass(frozen=True, slots=True)
class ExplainedSkip:
    """A target of the list that is not probed, and why not."""

    target: str
    host: str
    tier: str
    reason: str


@dataclass(frozen=True, slots=True)
class ExampleBatch:
    """A batch as it would be sent, taken apart again.

    Attributes:
        header: what stands before the rows, once a batch.
        row: one of its rows.
        rows: how many of these it held.
        message_bytes: what the batch took, without its signature of 99 bytes.
    """

    header: dict[str, object]
    row: dict[str, object]
    rows: int
    message_bytes: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that an agent with this configuration does.

    Attributes:
        targets: what is probed.
        skipped: what the list names and is not probed.
        daily_bytes: what probing takes, at most `budget_bytes`.
        daily_sent_bytes: what sending the results takes.
        budget_bytes: the day's limit for probing.
        contacts: whom it contacts beside its targets.
        other_traffic: what it does beside that, without a target's name.
        sent_fields: what a batch says, in plain words.
        example: such a batch, made here and now from a made-up result.
        never_sent: what it never says.
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
        "what else this machine does",
        "where it is, beyond country and network",
    )


def explain(  # noqa: PLR0913 - what a vantage is made of
    vantage: Vantage,
    targets: Sequence[Target],
    config: AgentConfig,
    *,
    probes: Mapping[str, Probe],
    listed: Collection[ListedTarget] = (),
    left: Collection[SkippedTarget] = (),
) -> Explanation:
    """Return what an agent of this configuration will do.

    Args:
        vantage: who and where it is.
        targets: what its own configuration names.
        config: how often.
        probes: by name; they say what a run costs.
        listed: what is probed of the observatory's list.
        left: what is not, and why.
    """
    rows = [_explain_target(target, config, probes) for target in targets]
    rows += [
        _explain_target(one.target, config, probes, tier=one.tier.value, category=one.category)
        for one in listed
    ]
    times = sum(row.daily_runs for row in rows)
    wanted = sum(row.daily_bytes for row in rows)
    budget = BUDGETS[config.budget]
    return Explanation(
        targets=tuple(rows),
        skipped=tuple(
            ExplainedSkip(one.listed.target.id, one.listed.target.host, one.listed.tier, one.reason)
            for one in left
        ),
        daily_bytes=min(wanted, budget),
        daily_sent_bytes=times * _SENT_BYTES
        + min(times, _DAY // config.flush_interval) * _BATCH_BYTES,
        budget_bytes=budget,
        sent_fields=(
            f"the agent's name: {vantage.id}",
            f"the country: {vantage.country or 'not told'}",
            f"the network's number (ASN): {vantage.asn or 'not told'}",
            "of each probe: the target's name, the time, how it went, how long each step took",
            "what its clocks showed, and a made-up name for the time since the machine was started",
            "when the agent was off, paused and by whom, and whether its own line worked",
        ),
        example=_example(vantage, rows[0] if rows else None),
        other_traffic=_beside(rows, config),
    )


def _beside(rows: Sequence[ExplainedTarget], config: AgentConfig) -> tuple[str, ...]:
    """Return what an agent does beside its targets' rounds."""
    if all(is_loopback(row.host) for row in rows):
        return ()
    seconds = config.witness_period.total_seconds()
    told = [
        f"every {seconds:.0f} s it asks whether your own router is there (nothing of it is sent)",
        "when a target fails for the first time it asks that target and one control again",
    ]
    if config.burst:
        told.append(
            "when your line changes it asks five times as often, for 30 minutes a day at most"
        )
    return tuple(told)


def _explain_target(
    target: Target,
    config: AgentConfig,
    probes: Mapping[str, Probe],
    *,
    tier: str = "own",
    category: str = "",
) -> ExplainedTarget:
    """Return how often a target is asked, and what that costs."""
    period = config.period
    probe = probes.get(target.probe, Probe)
    times = MAX_CHANGE_PROBES if probe.on_change_only else 0
    if tier_of(target) is not None:
        period = min(period, config.witness_period)
    # Ways are followed when the line changes, and never more often than this.
    times = times or int(_DAY / period)
    return ExplainedTarget(
        target=target.id,
        probe=target.probe,
        host=target.host,
        port=target.port,
        group=target.group,
        daily_runs=times,
        daily_bytes=times * probe.cost_bytes,
        tier=tier,
        category=category,
    )


def _example(vantage: Vantage, row: ExplainedTarget | None) -> ExampleBatch:
    """Return a batch of made-up results about a target, packed and taken apart again."""
    made = Measurement(
        target=row.target if row else "root-f",
        probe=row.probe if row else "dns",
        time=_ONCE,
        failure="generic_timeout_error",
        scope="timeout",
        host_responded=False,
        seconds=10.0,
        observations=(Observation("connect", "generic_timeout_error", 10.0),),
    )
    wall = int(_ONCE.timestamp() * 1000)
    line = ClockSegment(_BOOT, wall - _UPTIME, after_sequence=1, rows=_ROWS)
    reading = ClockSample(_BOOT, _UPTIME, wall, ClockSource.KERNEL, synced=True, error=20)
    batch = Batch(vantage, 1, (made,) * _ROWS, clock_segments=(line,), clock_samples=(reading,))
    message = pack_batch(batch)
    sent = unpack_batch(message)
    row_as_sent: dict[str, object] = msgspec.to_builtins(sent.measurements[0])
    header: dict[str, object] = msgspec.to_builtins(replace(sent, measurements=()))
    del header["measurements"]
    return ExampleBatch(header, row_as_sent, _ROWS, len(message))

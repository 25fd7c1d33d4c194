"""What must hold during and after every attack."""

import asyncio
import re
from dataclasses import dataclass
from time import monotonic

from adversary.frame.registry import Attack
from adversary.frame.stage import Stage

__all__ = ["Result", "run_attack"]

MAX_P99_SECONDS = 2.0
"""Within this, 99 of 100 honest batches are acknowledged while the attack runs; the time for which
the observatory or the agents waited for a processor of the machine does not count."""
MAX_MEMORY_MB = 400.0
_AFTERWARDS_SECONDS = 10.0
"""Within this after the attack, every honest agent gets an acknowledgement of a new batch."""
_RESTARTED_SECONDS = 45.0
"""The same after a restart: agents first notice that nobody answers, then connect again."""
_MAX_SECONDS = 300.0
"""The same on a machine that is busy with other things, which is counted apart."""
_ATTACK_SECONDS = 180.0
"""Time for the attack itself, whose speed is not measured."""
_LEAST_SECONDS = 1.0
"""An attack of one message is watched for this long."""
_SAMPLE_SECONDS = 0.05
_RAISED = re.compile(r"^[\w.]+(?:Error|Exception|Disconnect)\b.*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Result:
    """One attack at one door; `faults` is empty if everything held.

    `machine_share` is the part of the time for which a process waited for a processor.
    """

    name: str
    door: str
    seconds: float
    honest_batches: int
    p99_seconds: float
    machine_share: float
    memory_mb: float
    faults: tuple[str, ...]


async def run_attack(attack: Attack, stage: Stage) -> Result:
    """Run one attack and check the observatory; it is started again if it ended."""
    observatory, pid = stage.observatory, stage.observatory.pid
    log_start, since, peaks = observatory.log.stat().st_size, monotonic(), [0.0]
    watching = asyncio.ensure_future(_watch(stage, peaks))
    faults = await _attack(attack, stage)
    await asyncio.sleep(max(0.0, since + _LEAST_SECONDS - monotonic()))
    until = monotonic()
    restarted = observatory.pid != pid
    if not observatory.pid:
        faults.append("the process ended")
        await observatory.start()
    elif restarted and not attack.restarts:
        faults.append("the process is another one")
    patience = _RESTARTED_SECONDS if restarted else _AFTERWARDS_SECONDS
    if not await _hears_each(stage, until, patience):
        faults.append("an honest agent is not acknowledged afterwards")
    watching.cancel()
    receipts = stage.honest.sealed_between(since, until)
    waits = sorted(stage.own_seconds(one.sealed, one.acknowledged) for one in receipts)
    p99 = waits[int(0.99 * len(waits))] if waits else float("inf")
    if p99 > MAX_P99_SECONDS and not attack.restarts:
        faults.append(f"honest agents wait {p99:.1f} s")
    if peaks[0] > MAX_MEMORY_MB:
        faults.append(f"{peaks[0]:.0f} MB of memory")
    _, traced, after = observatory.log.read_bytes()[log_start:].partition(b"Traceback")
    if traced:
        ends = re.findall(
            r"^[\w.]+(?:Error|Exception|Disconnect)\b.*", after.decode(), re.MULTILINE
        )
        faults.append(f"a traceback in the log: {'; '.join(dict.fromkeys(ends))[:300]}")
    if faults:
        # The next attack starts from a healthy observatory.
        await stage.restart()
        await _hears_each(stage, monotonic(), _RESTARTED_SECONDS)
    seconds = until - since
    return Result(
        attack.name, stage.door, seconds, len(waits), p99,
        1 - stage.own_seconds(since, until) / seconds, peaks[0], tuple(faults),
    )  # fmt: skip


async def _hears_each(stage: Stage, since: float, seconds: float) -> bool:
    """Wait for the acknowledgement of a batch of every honest agent, so many seconds of its own."""
    latest = since + _MAX_SECONDS

    def is_over() -> bool:
        return monotonic() > latest or stage.own_seconds(since, monotonic()) > seconds

    return await stage.honest.wait_for_each(since, is_over)


async def _attack(attack: Attack, stage: Stage) -> list[str]:
    try:
        async with asyncio.timeout(_ATTACK_SECONDS):
            await attack.run(stage)
    except Exception as error:  # noqa: BLE001 - the table names it, and the next attack runs
        return [f"{type(error).__name__}: {str(error)[:200]}"]
    return []


async def _watch(stage: Stage, peaks: list[float]) -> None:
    while True:
        peaks[0] = max(peaks[0], stage.observatory.memory())
        stage.waits.sample((stage.observatory.pid, stage.honest.pid))
        await asyncio.sleep(_SAMPLE_SECONDS)

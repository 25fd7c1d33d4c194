"""The real command under much work: nothing that it holds grows.

400 targets of every kind, broker and collector on loopback, an hour's work in a minute.
"""

import pytest

from benchmarks.agent_process import TARGETS, Life, least_squares, live, place
from benchmarks.agent_stage import mixed_targets, stage

LOG = 4 * 1024 * 1024


async def soak(seconds: float, *, work: float) -> Life:
    """Let an agent work so many times faster than one probe a second."""
    with stage() as ports:
        targets = mixed_targets(TARGETS, ports)
        async with place(targets, period=TARGETS / work, flush_interval=10 / work) as found:
            return await live(found, seconds, every=0.25)


def judge(life: Life, *, warm: float, growth: float) -> None:
    """Hold what was seen after `warm` seconds against what may be."""
    first = next(n for n, one in enumerate(life.moments) if one > warm)
    assert life.acknowledged > 10, "nothing was sent: the test shows nothing"
    moments = life.moments[first:]

    def grown(values: list[float] | list[int]) -> float:
        return least_squares(moments, values[first:]) * (moments[-1] - moments[0])

    # Running probes hold a varying number of sockets; leaked sockets add up.
    assert grown(life.files) < 12
    assert max(life.files[first:]) < 128
    assert max(life.log_bytes) <= LOG
    assert grown(life.megabytes) < growth
    assert max(life.megabytes) < 64
    # Sixty probes a second take a tenth of a processor; a loop that spins takes all of it.
    assert life.cpu_seconds < 0.6 * life.moments[-1]


@pytest.mark.timeout(60)
async def test_a_busy_agent_leaks_nothing() -> None:
    judge(await soak(14, work=60), warm=6, growth=2.0)


@pytest.mark.long
@pytest.mark.timeout(0)
async def test_a_day_of_work_leaks_nothing() -> None:
    """24 hours of work at 60 times the speed: 24 minutes."""
    life = await soak(24 * 60, work=60)
    judge(life, warm=120, growth=24 * 0.2)

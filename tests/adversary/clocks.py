"""The observatory's own clock, set wrong by a forged time server or by a mistake."""

import asyncio
from datetime import UTC, datetime

from adversary.frame.registry import attack
from adversary.frame.stage import Stage

_WRONG_SECONDS = 22.0
_LAG_SECONDS = 30.0
"""Age of the data beyond which closing has stopped; bins are of one second."""


@attack(
    "the system clock of the observatory a day ahead for 22 s, then an hour behind for 22 s",
    who="an owner of its time servers",
    cost="one forged answer",
    doors=("embedded",),
)
async def own_clock_wrong(stage: Stage) -> None:
    """Bins go on closing, none of the future is, and health names both jumps."""
    for error, size in ((86_400.0, "+24 h"), (-3600.0, "-60 min")):
        stage.observatory.set_clock(error)
        await _expect(stage, f"the system clock jumped by {size}", _WRONG_SECONDS)
    stage.observatory.set_clock(0.0)
    await _expect(stage, "the system clock jumped", 5.0)
    log = stage.observatory.log.read_text("utf-8")
    assert "the system clock jumped by +24 h" in log


async def _expect(stage: Stage, notice: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    async with stage.client() as client:
        health = (await client.get("/v1/health")).json()
    age = (datetime.now(UTC) - datetime.fromisoformat(health["data_until"])).total_seconds()
    assert 0 <= age < _LAG_SECONDS, f"the data is {age:.0f} s old"
    assert notice in health["clock"]

"""Crowds of new keys."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from adversary.frame.registry import attack
from adversary.frame.stage import Attacker, Stage
from netwatch.model.measurement import Batch, Measurement, Observation, Vantage

_CROWD = 30


@attack(
    f"{_CROWD} new keys that claim at once that a whole country is down",
    who="anybody",
    cost=f"{_CROWD} keys",
    doors=("embedded", "https"),
)
async def crowd_of_new_keys(stage: Stage) -> None:
    """No incident opens, not even one that is not published."""
    crowd = [stage.stranger() for _ in range(_CROWD)]
    for sequence in range(8):
        await asyncio.gather(*(_claim_down(stage, one, sequence) for one in crowd))
        await asyncio.sleep(1)
    await asyncio.sleep(4)
    async with stage.client() as client:
        found = (await client.get("/v1/incidents?min_level=0")).json()["data"]
    assert not found, [one["id"] for one in found]


async def _claim_down(stage: Stage, one: Attacker, sequence: int) -> None:
    rows = tuple(_claims(stage, up=False))
    batch = Batch(Vantage(one.name, "XT", 64500), sequence, rows)
    await stage.send_batch(one.name, one.identity.pack(batch))


def _claims(stage: Stage, *, up: bool) -> Iterable[Measurement]:
    word = None if up else "generic_timeout_error"
    now = datetime.now(UTC) - timedelta(milliseconds=500)
    for target in stage.observatory.config.target:
        yield Measurement(
            target.id, target.probe, now, word, "" if up else "timeout", host_responded=up,
            seconds=0.4, observations=(Observation("connect", word, 0.4),),
        )  # fmt: skip

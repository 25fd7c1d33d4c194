"""Late and time-shifted batches, which would rewrite hours that were judged and published."""

import asyncio
from datetime import UTC, datetime, timedelta

from adversary.frame.registry import attack
from adversary.frame.stage import Stage
from netwatch.model.entities import Entity
from netwatch.model.measurement import Batch, Measurement, Vantage

_LIARS, _ROWS = 5, 200
_SPAN = timedelta(seconds=10)
"""Bins that the liars rewrite; in the drill a bin is one second."""
_LEARNING_SECONDS = 20.0
"""Time after which the drill's levels are known."""
_SETTLED = timedelta(seconds=6)
"""Age of bins that are judged."""


@attack(
    f"{_LIARS} new keys that claim failures of all networks in seconds that are closed and judged",
    who="anybody",
    cost=f"{_LIARS} messages",
)
async def closed_bins_rewritten(stage: Stage) -> None:
    """The levels that were published stay as they were known."""
    await asyncio.sleep(_LEARNING_SECONDS)
    end = datetime.now(UTC) - _SETTLED
    start = end - _SPAN
    before = await _levels(stage, start, end)
    targets = [target.id for target in stage.country.targets()]
    for _ in range(_LIARS):
        one = stage.stranger()
        rows = tuple(
            Measurement(
                targets[number % len(targets)], "tcp", start + _SPAN * number / _ROWS,
                "connect_timeout", "remote", host_responded=False, seconds=1.0,
            )
            for number in range(_ROWS)
        )  # fmt: skip
        batch = Batch(Vantage(one.name, "ZZ", 65001), 1, rows)
        await stage.send_batch(one.name, one.identity.pack(batch))
    await asyncio.sleep(5)
    assert await _levels(stage, start, end) == before


async def _levels(stage: Stage, start: datetime, end: datetime) -> list[object]:
    """Return the published levels of every network and of the country."""
    found = []
    places = [Entity.parse(str(place.entity)) for place in stage.country.places()]
    async with stage.client() as client:
        for entity in places:
            query = {"since": start.isoformat(), "until": end.isoformat(), "step": "5m"}
            answer = await client.get(f"/v1/timeseries/{entity.kind}/{entity.code}", params=query)
            found.append((str(entity), answer.json()["pct"]))
    return found

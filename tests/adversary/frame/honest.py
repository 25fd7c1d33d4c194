"""Honest agents in a process of their own: real spools and uplinks, which send all the time.

It writes a line of JSON for each batch: the agent, when it was sealed, and when it was
acknowledged, in seconds of the monotonic clock, which processes share.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from time import monotonic

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from netwatch.agent.identity import Identity
from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.session_presence import start_session
from netwatch.agent.uplink.uplink import Uplink
from netwatch.aio.executor import SingleThreadExecutor
from netwatch.aio.tasks import cancel_and_wait
from netwatch.app.transports import endpoints
from netwatch.config import Config, read_config
from netwatch.model.measurement import Measurement, Vantage
from netwatch.wire.presence_message import PRESENCE

_PACE = 0.5
"""The flush interval of these agents, in seconds; their time-outs are multiples of it."""
_BETWEEN = 0.2
"""Seconds between two batches of one agent."""
_POLL = 0.02


async def run_agent(config: Config) -> None:
    """Seal a batch, wait until it is acknowledged, and go on, until cancelled."""
    identity = Identity(Ed25519PrivateKey.generate())
    name, created = config.vantage.id, datetime.now(UTC)
    vantage = Vantage(name, config.vantage.country, config.vantage.asn)
    with (
        SingleThreadExecutor(name) as worker,
        Spool(
            Path(config.data) / "spool.sqlite",
            vantage=vantage, created_at=created, pack=identity.pack,
        ) as spool,
    ):  # fmt: skip
        sign = partial(identity.signer.sign, purpose=PRESENCE.purpose)
        session = await worker.run(start_session, name, spool, created, sign)
        uplink = Uplink(session, endpoints(config), spool=spool, executor=worker, pace=_PACE)
        sending = asyncio.ensure_future(uplink.run())
        try:
            for number in count():
                target = config.target[number % len(config.target)]
                row = Measurement(
                    target.id, target.probe, datetime.now(UTC), None, "",
                    host_responded=True, seconds=0.01,
                )  # fmt: skip
                await worker.run(_seal, spool, row)
                sealed = monotonic()
                uplink.notify()
                while await worker.run(spool.count_pending):
                    assert not sending.done(), sending.exception()
                    await asyncio.sleep(_POLL)
                sys.stdout.write(json.dumps([name, sealed, monotonic()]) + "\n")
                sys.stdout.flush()
                await asyncio.sleep(_BETWEEN)
        finally:
            await cancel_and_wait([sending])


def _seal(spool: Spool, row: Measurement) -> None:
    spool.append([row])
    spool.flush()


async def main(paths: Sequence[str]) -> None:
    """Run an agent for each configuration."""
    await asyncio.gather(*(run_agent(read_config(Path(path))) for path in paths))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))

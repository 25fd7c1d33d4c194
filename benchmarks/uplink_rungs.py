"""What each rung of the uplink costs on the wire, and how soon the present is known again.

A real Mosquitto and the real doors on loopback; bytes are counted by a relay between agent and
server, both ways, TCP headers left out. Run: python benchmarks/uplink_rungs.py
"""

import asyncio
import logging
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from servers import mosquitto, until
from tcp_blocker import TcpBlocker, tcp_blocker
from uplink_rig import Rig, two_listeners

from netwatch.agent.spool.spool import Spool
from netwatch.agent.uplink.uplink import Uplink
from netwatch.wire.rate_advice import RateAdvice

BATCHES, ROWS = 60, 60
"""An hour of one measurement a second, sealed once a minute."""
RUNS = 12
PACE = 0.5
"""A twentieth of the usual ten seconds; printed times are scaled back."""
USUAL = 10.0


async def count_bytes(rig: Rig, between: TcpBlocker, scheme: str, agent: str) -> None:
    """Send an hour of measurements over one transport and print their size."""
    with rig.spool(agent) as spool:
        await rig.measure(spool, BATCHES, rows=ROWS)
        url = f"{scheme}://127.0.0.1:{between.port}"
        async with rig.uplink(spool, rig.endpoints(url, agent=agent), agent):
            await until(lambda: spool.count_pending() == 0, seconds=60)
    rows = BATCHES * ROWS
    print(
        f"{scheme:5} {between.carried / rows:6.1f} bytes a measurement up,"
        f" {between.returned / rows:5.1f} down"
    )


async def recover(rig: Rig, between: TcpBlocker, spool: Spool, uplink: Uplink) -> float:
    """Cut the link for a while; return seconds from its return to the newest acknowledgement."""
    between.close()
    for _ in range(4):
        await rig.measure(spool)
        await asyncio.sleep(PACE)
    await asyncio.sleep(Random().uniform(0, 4 * PACE))
    newest = (await rig.measure(spool))[0]
    between.open()
    began = monotonic()
    # The agent's own probes detect that the network is back, at one probe a second.
    await asyncio.sleep(Random().uniform(0, 2 * PACE / USUAL))
    uplink.retry_now()
    await until(lambda: all(one.sequence != newest for one in spool.newest(9)), seconds=120)
    return (monotonic() - began) * USUAL / PACE


async def measure_recovery(spread: float, label: str) -> None:
    """Cut the link a number of times and print how long the newest batch waited."""
    with TemporaryDirectory() as folder, mosquitto(Path(folder)) as port:
        rig = Rig(
            Path(folder), port, pace=PACE, rate_advice=RateAdvice(1e6, spread * PACE / USUAL, 1)
        )
        with rig.spool() as spool:
            async with rig.collector(), tcp_blocker(port) as between:
                way = rig.endpoints(f"mqtt://127.0.0.1:{between.port}")
                await rig.measure(spool)
                async with rig.uplink(spool, way) as uplink:
                    await until(lambda: spool.get_meta("rate_advice") is not None)
                    took = [await recover(rig, between, spool, uplink) for _ in range(RUNS)]
    print(
        f"newest batch acknowledged after the network's return, agents spread over {label}:"
        f" p50 {median(took):.0f} s, worst of {RUNS} {max(took):.0f} s"
    )


async def main() -> None:
    """Measure and print."""
    logging.disable(logging.ERROR)
    with TemporaryDirectory() as name:
        folder = Path(name)
        with two_listeners(folder) as (plain, web):
            rig = Rig(folder, plain, pace=PACE)
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(rig.collector())
                door = await stack.enter_async_context(rig.agent_api())
                ways = {"mqtt": plain, "ws": web, "http": door}
                for number, (scheme, behind) in enumerate(ways.items()):
                    between = await stack.enter_async_context(tcp_blocker(behind))
                    await count_bytes(rig, between, scheme, f"a{number}")
        await measure_recovery(60, "60 s (the default)")
        await measure_recovery(10, "10 s (a fleet of hundreds)")


if __name__ == "__main__":
    asyncio.run(main())

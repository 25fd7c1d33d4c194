"""200 readers of a country's page at once: kept by the page cache, and rendered for each of them.

The page has 31 regions and a week of hourly levels. The server is a process of its own; a collector
in it acknowledges an agent's batches by HTTPS meanwhile. Run: python -m benchmarks.web_readers
"""

import argparse
import asyncio
import socket
import sys
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from math import sin
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx
from hostile_clients import exchange
from servers import free_port
from uplink_rig import Rig, running

from netwatch.app.http_agent_routes import ingest_routes
from netwatch.app.http_server import serve
from netwatch.app.sender_limits import SenderLimits
from netwatch.collector.known_senders import Standing
from netwatch.ledger.ledger import SqlLedger, ledger_url
from netwatch.model.entities import Entity, EntityInfo, EntityTree
from netwatch.model.series import Level, SeriesKey
from netwatch.store.sqlite import SqliteStore
from netwatch.web.page_cache import PageCache, Rendered
from netwatch.web.server import create_app
from netwatch.web.site_context import SiteContext
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.https import AGENT_HEADER, BATCHES_PATH

READERS, SECONDS, REGIONS = 200, 10.0, 31
PATIENCE = 30.0
"""Seconds after which a reader without an answer gives up; it counts as having waited so long."""
STEP, WEEK = timedelta(hours=1), timedelta(days=7)
COUNTRY = Entity.parse("country:IR")
PAGE = (
    b"GET /p/country/IR HTTP/1.1\r\nHost: here\r\n"
    b"Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
)


def tree() -> EntityTree:
    regions = [Entity.parse(f"region:IR-{number:02}") for number in range(1, REGIONS + 1)]
    return EntityTree(
        [EntityInfo(COUNTRY, "Iran"), *(EntityInfo(one, str(one), COUNTRY) for one in regions)]
    )


def fill(store: SqliteStore, until_: datetime) -> None:
    start = until_ - WEEK
    for info in tree():
        key = SeriesKey("reachability", info.entity)
        values = [0.9 + 0.05 * sin(slot / 40) for slot in range(WEEK // STEP)]
        levels = [
            Level(start + slot * STEP, key, value, value - 0.02, value + 0.02, networks=9)
            for slot, value in enumerate(values)
        ]
        store.put_levels(levels)
    store.put_bins([], closed_until=until_)


async def render_anew(
    _cache: PageCache, _name: Hashable, render: Callable[[], Rendered], **_: object
) -> Rendered:
    return await asyncio.to_thread(render)


async def run_server(folder: Path, port: int, *, cached: bool) -> None:
    if not cached:
        PageCache.get = render_anew  # type: ignore[method-assign]
    store = SqliteStore(folder / "series.sqlite")
    fill(store, datetime.now(UTC).replace(minute=0, second=0, microsecond=0))
    ledger = SqlLedger(ledger_url(folder / "ledger.sqlite"))
    context = SiteContext(store, ledger, tree(), lambda: datetime.now(UTC))
    async with EmbeddedBroker(users={"netwatch": "swordfish"}) as broker:
        rig = Rig(folder, broker.port)
        limits = SenderLimits(lambda *_: Standing.ENROLLED)
        app = create_app(context, ingest_routes(rig.queue, limits))
        listener = socket.create_server(("127.0.0.1", port))
        async with rig.collector(), running(serve(app, listener)):
            await asyncio.Event().wait()


async def read(port: int, deadline: float, waits: list[float]) -> None:
    while (since := monotonic()) < deadline:
        answer = await exchange(port, PAGE, seconds=PATIENCE)
        waits.append(monotonic() - since if b" 200 " in answer[:20] else PATIENCE)


async def send(rig: Rig, port: int, deadline: float, waits: list[float]) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
        with rig.spool() as spool:
            while (since := monotonic()) < deadline:
                rig.seal(spool)
                batch, headers = spool.newest(1)[0].payload, {AGENT_HEADER: "a1"}
                answer = await client.post(BATCHES_PATH, content=batch, headers=headers)
                assert answer.status_code == 200, answer.text
                waits.append(monotonic() - since)
                await asyncio.sleep(0.1)


def p99(waits: list[float]) -> float:
    return sorted(waits)[int(0.99 * len(waits))]


async def measure(mode: str, readers: int) -> tuple[float, float, float]:
    """Return pages a second, the readers' p99 and the agent's p99, in seconds."""
    with TemporaryDirectory() as folder:
        port, pages, acks = free_port(), list[float](), list[float]()
        command = (sys.executable, __file__, "--serve", mode, "--port", str(port), folder)
        server = await asyncio.create_subprocess_exec(*command)
        try:
            with TemporaryDirectory() as own:
                while server.returncode is None:
                    try:
                        await exchange(port, PAGE, seconds=60)
                        break
                    except OSError:
                        await asyncio.sleep(0.2)
                deadline = monotonic() + SECONDS
                works = (read(port, deadline, pages) for _ in range(readers))
                await asyncio.gather(send(Rig(Path(own), 0), port, deadline, acks), *works)
        finally:
            server.kill()
            await server.wait()
    answered = sum(wait < PATIENCE for wait in pages)
    return answered / SECONDS, p99(pages), p99(acks)


async def compare() -> None:
    print("mode      readers  pages/s  readers' p99 s  agent's p99 s")
    found = {}
    for mode in ("rendered", "cached"):
        for readers in (1, READERS):
            found[mode, readers] = await measure(mode, readers)
            rate, page, ack = found[mode, readers]
            print(f"{mode:9} {readers:7} {rate:8.1f} {page:15.3f} {ack:14.3f}", flush=True)
    before, after = found["rendered", READERS], found["cached", READERS]
    print(f"pages a second, cached against rendered: {after[0] / max(before[0], 0.1):.0f}")
    print(f"readers' p99, cached against rendered: {after[1] / before[1]:.3f}")
    print(f"p99 of {READERS} readers against one, cached: {after[1] / found['cached', 1][1]:.1f}")
    print(f"agent's p99, cached against rendered: {after[2] / before[2]:.3f}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", nargs="?", type=Path)
    options.add_argument("--serve", choices=("cached", "rendered"))
    options.add_argument("--port", type=int)
    chosen = options.parse_args()
    if chosen.serve:
        asyncio.run(run_server(chosen.folder, chosen.port, cached=chosen.serve == "cached"))
    else:
        asyncio.run(compare())


if __name__ == "__main__":
    main()

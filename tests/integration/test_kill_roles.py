"""kill -9 of collector, analysis and page server, each a process of its own, under load."""

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
import msgspec
import pytest
from servers import PASSWORD, USERNAME, free_port, mosquitto
from uplink_rig import Rig

from netwatch.aio.tasks import cancel_and_wait
from netwatch.app.factories import open_ledger, open_store
from netwatch.app.fleet_admin import open_batch_log
from netwatch.config import (
    AnalysisConfig,
    BrokerConfig,
    Config,
    PublishConfig,
    WebConfig,
    write_config,
)
from netwatch.model.duration import Duration, PositiveDuration
from netwatch.model.entities import Entity
from netwatch.model.incident import Incident, Post
from netwatch.model.measurement import Target
from netwatch.model.series import Bin, SeriesKey
from netwatch.model.time import floor_time
from netwatch.protocols import OutboxState
from netwatch.storage.origin import find_damage

SERIES = SeriesKey("reachability", Entity.parse("country:XX"))
WIDTH = timedelta(minutes=5)
KILLS = [
    pytest.param(1, marks=pytest.mark.timeout(900)),
    pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]


def make_config(folder: Path, broker: int = 1, **more: object) -> Config:
    config = Config(
        data=str(folder / "data"),
        broker=BrokerConfig(embedded=False, port=broker, username=USERNAME, password=PASSWORD),
        web=WebConfig(port=free_port()),
        target=(Target("one", "tcp", "127.0.0.1", asn=64500, country="XX"),),
    )
    config = msgspec.structs.replace(config, **more)
    write_config(config, folder / "netwatch.toml")
    return config


async def wait(condition: Callable[[], object], *, seconds: float = 240) -> None:
    """Wait for `condition`, which reads files, without taking the processor from the roles."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.1)


class Role:
    """One command, started anew each time that it is killed; its output is kept."""

    def __init__(self, command: str, folder: Path) -> None:
        self._command, self._folder = command, folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with (self._folder / "out").open("ab") as out, (self._folder / "err").open("ab") as err:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "netwatch", self._command,
                "--config", str(self._folder / "netwatch.toml"), stdout=out, stderr=err,
            )  # fmt: skip

    async def kill(self, number: int = signal.SIGKILL) -> int:
        assert self._process is not None
        assert self._process.returncode is None, self.errors()
        os.kill(self._process.pid, number)
        return await asyncio.wait_for(self._process.wait(), 30)

    def output(self) -> str:
        return (self._folder / "out").read_text("utf-8", "replace")

    def errors(self) -> str:
        return (self._folder / "err").read_text("utf-8", "replace")


@asynccontextmanager
async def role(command: str, folder: Path) -> AsyncIterator[Role]:
    """Run a command; at the end it is asked to stop, which it does with 0."""
    running = Role(command, folder)
    await running.start()
    try:
        yield running
        assert await running.kill(signal.SIGTERM) == 0
    finally:
        if running._process is not None and running._process.returncode is None:
            running._process.kill()
            await running._process.wait()
    assert "Traceback" not in running.errors()


async def kill_often(role: Role, kills: int, is_working: Callable[[], object]) -> None:
    """Kill a role at random moments, each after it has begun to work."""
    dice = Random(kills)
    for _ in range(kills):
        done = is_working()
        await wait(lambda done=done: is_working() != done)
        await asyncio.sleep(dice.uniform(0, 0.3))
        await role.kill()
        await role.start()


@pytest.mark.parametrize("kills", KILLS)
async def test_a_killed_collector_loses_no_acknowledged_batch(tmp_path: Path, kills: int) -> None:
    """Nor does it store one twice; what is not acknowledged is sent again."""
    with mosquitto(tmp_path) as port:
        analysis = AnalysisConfig(
            bin=PositiveDuration(seconds=1), late_data_grace=Duration(seconds=1)
        )
        config = make_config(tmp_path, port, analysis=analysis)
        rig = Rig(tmp_path, port, pace=0.05)
        made: list[int] = []
        stop = asyncio.Event()
        with rig.spool() as spool:

            async def load() -> None:
                while not stop.is_set():
                    made.extend(await rig.measure(spool, 3, rows=4))
                    await asyncio.sleep(0.05)

            async with (
                role("collect", tmp_path) as collector,
                rig.uplink(spool, rig.mqtt_endpoint(port)),
            ):
                loading = asyncio.ensure_future(load())
                await kill_often(collector, kills, lambda: len(made) - spool.count_pending())
                stop.set()
                await loading
                await wait(lambda: spool.count_pending() == 0)
    with open_batch_log(config) as batch_log:
        kept = batch_log._database.fetch("SELECT sequence FROM batch WHERE vantage = 'a1'")
        rows = Counter(
            row.seconds
            for _, row in batch_log.measurements(rig.since, rig.until)
            if row.target == "one"
        )
    assert sorted(sequence for (sequence,) in kept) == sorted(made)
    assert len(rows) == 4 * len(made), "every row that was measured"
    assert set(rows.values()) == {1}, "once"
    assert find_damage(tmp_path / "data" / "batches.sqlite") == ""


@pytest.mark.parametrize("kills", KILLS)
async def test_a_killed_analysis_sends_no_post_twice_and_misses_no_bin(
    tmp_path: Path,
    kills: int,
    make_post: Callable[..., Post],
) -> None:
    config = make_config(tmp_path, publish=PublishConfig(channels=("console",)))
    end = floor_time(datetime.now(UTC), WIDTH)
    start = end - 400 * WIDTH * kills
    bins = [Bin(start + WIDTH * slot, SERIES, 9.0, 10.0) for slot in range(400 * kills)]
    store, ledger = open_store(config), open_ledger(config)
    store.put_bins(bins, closed_until=end)
    # Posts of one incident wait for each other: these are of many, so that all are due at once.
    posts = [
        make_post(key=f"{number:064x}", incident=f"NW-XX-{number}", text=f"post-{number}.")
        for number in range(200 * kills)
    ]

    def in_state(state: OutboxState) -> int:
        return len(ledger.outbox.in_state(state))

    async with role("analyze", tmp_path) as analysis:
        dice = Random(kills)
        for number in range(kills):
            sent = in_state(OutboxState.SENT)
            ledger.record([], posts[200 * number : 200 * (number + 1)])
            await wait(lambda sent=sent: in_state(OutboxState.SENT) > sent)
            await asyncio.sleep(dice.uniform(0, 0.3))
            await analysis.kill()
            await analysis.start()
        await wait(lambda: not (in_state(OutboxState.READY) + in_state(OutboxState.SENDING)))
        await wait(lambda: (found := ledger.checkpoint()) is not None and found.until == end)
    shown = Counter(word for word in analysis.output().split() if word.startswith("post-"))
    unclear = {one.post.text for one in ledger.outbox.in_state(OutboxState.NEEDS_REVIEW)}
    assert set(shown.values()) == {1}, "no post twice"
    assert {post.text for post in posts} == set(shown) | unclear, "and none forgotten"
    assert list(store.read_bins(start, end)) == bins
    assert ledger.verify_chain() == []
    ledger.close()
    store.close()


@pytest.mark.parametrize("kills", KILLS)
async def test_a_killed_page_server_shows_no_traceback_and_changes_nothing(
    tmp_path: Path, kills: int, make_incident: Callable[..., Incident]
) -> None:
    config = make_config(tmp_path)
    end = floor_time(datetime.now(UTC), WIDTH)
    store, ledger = open_store(config), open_ledger(config)
    store.put_bins([Bin(end - WIDTH, SERIES, 9.0, 10.0)], closed_until=end)
    ledger.record([make_incident()], [])
    pages = 0

    async def read() -> None:
        nonlocal pages
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{config.web.port}") as client:
            while True:
                for path in ("/", "/p/country/XX", "/i/NW-IR-2019-0042", "/v1/health"):
                    try:
                        answer = await client.get(path)
                    except httpx.TransportError:
                        await asyncio.sleep(0.05)
                        continue
                    assert answer.status_code == 200, answer.text
                    assert "Traceback" not in answer.text
                    pages += 1

    async with role("serve", tmp_path) as server:
        readers = [asyncio.ensure_future(read()) for _ in range(4)]

        def count_pages() -> int:
            for reader in readers:
                assert not reader.done(), reader.exception()
            return pages

        await kill_often(server, kills, count_pages)
        before = pages
        await wait(lambda: count_pages() > before)
        await cancel_and_wait(readers)
    assert len(list(store.read_bins(end - 2 * WIDTH, end))) == 1
    assert len(ledger.incidents()) == 1
    ledger.close()
    store.close()

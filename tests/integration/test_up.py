"""`netwatch up` as a person runs it: one process, a page, and Ctrl-C."""

import asyncio
import signal
import socket
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest

from netwatch.config import Config, WebConfig, write_config
from netwatch.lab.drill.loopback_country import make_country
from netwatch.lab.drill.scenario import drill_config
from netwatch.store.sqlite import SqliteStore

pytestmark = pytest.mark.timeout(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def page(port: int, path: str, needle: str) -> str:
    """Wait until a page says `needle`."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(300):
            try:
                answer = await client.get(path)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
                continue
            if needle in answer.text:
                return answer.text
            await asyncio.sleep(0.1)
    raise AssertionError(f"the page never said {needle!r}")


async def run_up(config: Config, path: Path, needle: str) -> tuple[int, str]:
    """Start `netwatch up`, wait for its page, press Ctrl-C, return exit code and stderr."""
    await asyncio.to_thread(write_config, config, path)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "netwatch", "up", "--config", str(path),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await page(config.web.port, "/", needle)
        await page(config.web.port, "/v1/health", '"data_until":"20')
        await asyncio.sleep(3)
        process.send_signal(signal.SIGINT)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, errors.decode()


async def test_observatory_starts_serves_a_page_and_ends_cleanly(tmp_path: Path) -> None:
    """Ctrl-C ends it with 0; what was acknowledged is kept, and it goes on where it was."""
    async with make_country(3) as country:
        drill = drill_config(
            str(tmp_path / "data"), free_port(), country=country, targets=country.targets()
        )
        config = msgspec.structs.replace(drill, drill=False, web=WebConfig(port=free_port()))
        code, errors = await run_up(config, tmp_path / "netwatch.toml", "Testland")
        assert code == 0, errors
        assert "Traceback" not in errors
        kept = count(tmp_path / "data" / "batches.sqlite", "batch")
        assert kept > 0
        code, errors = await run_up(config, tmp_path / "netwatch.toml", "Testland")
        assert code == 0, errors
        assert count(tmp_path / "data" / "batches.sqlite", "batch") > kept
        span = seconds_of_bins(tmp_path / "data")
        assert span >= timedelta(seconds=5)


def count(path: Path, table: str) -> int:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
        return int(file.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def seconds_of_bins(data: Path) -> timedelta:
    """Return how long the store's bins reach."""

    store = SqliteStore(data / "series.sqlite")
    try:
        found = list(store.read_bins(datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC)))
    finally:
        store.close()
    return found[-1].time - found[0].time

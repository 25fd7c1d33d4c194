"""The disk of the data folder is full or read-only: one line, and all goes on when it can."""

import asyncio
import logging
import sqlite3
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import httpx
import msgspec
import pytest
from observatory_process import start
from servers import free_port, tcp_server
from small_disk import fill_disk, make_read_only, small_disk

from netwatch.aio.tasks import cancel_and_wait
from netwatch.app.observatory import run_up
from netwatch.config import Config, parse_config

pytestmark = pytest.mark.timeout(240)


def make_config(folder: Path, target: int = 9) -> Config:
    return parse_config(
        f'data = "{folder}"\n[broker]\nport = {free_port()}\n[web]\nport = {free_port()}\n'
        '[publish]\nchannels = ["file"]\n[agent]\nperiod = "1s"\nflush_interval = "0.3s"\n'
        '[analysis]\nbin = "1s"\nlate_data_grace = "2s"\n'
        f'[[target]]\nid = "one"\nprobe = "tcp"\nhost = "127.0.0.1"\nport = {target}\n'
        'country = "XT"\nasn = 64500\n'
    )


async def data_until(client: httpx.AsyncClient) -> str:
    with suppress(httpx.TransportError, msgspec.MsgspecError):
        found = msgspec.json.decode((await client.get("/v1/health")).content)
        return str(found.get("data_until") or "")
    return ""


async def wait_for_data(
    client: httpx.AsyncClient, after: str, running: "asyncio.Future[None]"
) -> str:
    """Wait until a newer interval is closed; return its end."""
    while (found := await data_until(client)) <= after:
        assert not running.done(), running.exception()
        await asyncio.sleep(0.2)
    return found


async def accept(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def test_an_observatory_lives_through_a_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with small_disk(tmp_path / "disk", megabytes=24) as place:
        async with tcp_server(accept) as target:
            config = make_config(place / "data", target)
            running = asyncio.ensure_future(run_up(config))
            url = f"http://127.0.0.1:{config.web.port}"
            async with httpx.AsyncClient(base_url=url, timeout=20) as client:
                before = await wait_for_data(client, "", running)
                filler = fill_disk(place)
                for _ in range(30):
                    await asyncio.sleep(0.2)
                    assert not running.done(), running.exception()
                    page = await client.get("/")
                    assert page.status_code in {200, 503}
                    assert "Traceback" not in page.text
                filler.unlink()
                stopped = await data_until(client) or before
                await wait_for_data(client, stopped, running)
            await cancel_and_wait([running])
        with closing(sqlite3.connect(place / "data" / "batches.sqlite")) as file:
            assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not any(record.exc_info for record in caplog.records)
    said = Counter(record.name for record in caplog.records)
    assert "full" in caplog.text
    assert all(count <= 6 for count in said.values()), said


@pytest.mark.parametrize("is_read_only", [False, True])
@pytest.mark.parametrize("is_new", [False, True])
async def test_without_room_at_the_start_there_is_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_read_only: bool, is_new: bool
) -> None:
    with small_disk(tmp_path / "disk", megabytes=24) as place:
        config = make_config(place / "data")
        if not is_new:
            assert await start(config) == ""
        caplog.clear()
        if is_read_only:
            make_read_only(place)
        else:
            filler = fill_disk(place)
        refusal = await start(config)
        lines = [*caplog.messages, *filter(None, [refusal])]
        assert lines
        assert "\n" not in "".join(lines)
        assert not any(record.exc_info for record in caplog.records)
        if is_read_only:
            assert refusal
        else:
            filler.unlink()
            assert await start(config) == ""

"""Starts a whole observatory in this process, as `netwatch up` does."""

import asyncio
from contextlib import suppress

import httpx

from netwatch.app.observatory import run_up
from netwatch.config import Config
from netwatch.model.errors import NetwatchError


async def start(config: Config) -> str:
    """Run `netwatch up` until its page responds; return the error that it ends with."""
    running = asyncio.ensure_future(run_up(config))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{config.web.port}") as client:
        while not running.done():
            with suppress(httpx.TransportError):
                for path in ("/", "/p/country/XT"):
                    page = await client.get(path)
                    assert page.status_code in {200, 503}
                    assert "Traceback" not in page.text
                await asyncio.sleep(0.1)
                break
            await asyncio.sleep(0.02)
    running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        return ""
    except NetwatchError as error:
        return str(error)
    raise AssertionError("it ended by itself")

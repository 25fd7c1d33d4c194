"""A whole observatory whose own clock is set wrong: it goes on, says so, and recovers."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from servers import free_port
from shifted_clock import SHIFTED_CLOCK

from netwatch.config import Config, WebConfig, write_config
from netwatch.lab.drill.loopback_country import make_country
from netwatch.lab.drill.scenario import drill_config
from netwatch.store.sqlite import SqliteStore

pytestmark = pytest.mark.timeout(120)

_LAG = 20.0
"""Seconds by which the data may lag behind on a busy machine; bins are of one second."""


class Observatory:
    """The configuration of an observatory, and the error of its clock in seconds."""

    def __init__(self, config: Config, folder: Path, *, synced: bool = False) -> None:
        self.config, self.path = config, folder / "netwatch.toml"
        self._shift = folder / ("synced" if synced else "shift")
        self.set(0)

    def set(self, error: float) -> None:
        self._shift.write_text(str(error))

    @asynccontextmanager
    async def up(self, errors: list[str]) -> AsyncIterator[None]:
        """Run `netwatch up`; what it logged is in `errors` at the end."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(SHIFTED_CLOCK), str(self._shift), "up", "--config", str(self.path),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            yield
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            _, output = await asyncio.wait_for(process.communicate(), 20)
            errors.append(output.decode())
        assert process.returncode == 0, errors[-1]

    async def health(self) -> dict[str, object]:
        async with httpx.AsyncClient() as client:
            url = f"http://127.0.0.1:{self.config.web.port}"
            answer = await client.get(f"{url}/v1/health")
            return dict(msgspec.json.decode(answer.content))

    async def closes(self) -> dict[str, object]:
        """Wait until a bin that ends after now is closed; return the health of then."""
        since = datetime.now(UTC)
        for _ in range(300):
            try:
                health = await self.health()
            except httpx.TransportError:
                health = {"data_until": None}
            until = health["data_until"]
            if until and since < datetime.fromisoformat(str(until)) <= datetime.now(UTC):
                return health
            await asyncio.sleep(0.1)
        raise AssertionError(f"no bin was closed: {health}")


@asynccontextmanager
async def observatory(folder: Path, *, synced: bool = False) -> AsyncIterator[Observatory]:
    async with make_country(3) as country:
        drill = drill_config(
            str(folder / "data"), free_port(), country=country, targets=country.targets()
        )
        config = msgspec.structs.replace(drill, drill=False, web=WebConfig(port=free_port()))
        await asyncio.to_thread(write_config, config, folder / "netwatch.toml")
        yield Observatory(config, folder, synced=synced)


@pytest.mark.parametrize(("error", "size"), [(86_400, "+24 h"), (-3600, "-60 min")])
async def test_a_wrong_time_for_a_while_stops_nothing(
    tmp_path: Path, error: float, size: str
) -> None:
    """Bins go on closing during the wrong period, after it, and after a restart within it."""
    logs: list[str] = []
    async with observatory(tmp_path) as station:
        async with station.up(logs):
            assert (await station.closes())["clock"] is None
            station.set(error)
            health = await station.closes()
            await asyncio.sleep(5)
            assert f"the system clock jumped by {size}" in str((await station.health())["clock"])
            assert health["stale"] is False
        async with station.up(logs):
            health = await station.closes()
            assert "time is counted on without it" in str(health["clock"])
            station.set(0)
            await station.closes()
            health = await station.closes()
            assert "without it" not in str(health["clock"])
            assert isinstance(health["data_age_seconds"], int)
            assert 0 <= health["data_age_seconds"] < _LAG
    for log in logs:
        assert f"the system clock jumped by {size}" in log
        assert "Traceback" not in log
        assert "future" not in log


async def test_a_store_that_ends_in_the_future_is_named_and_recovers(tmp_path: Path) -> None:
    """An earlier process has closed an hour too much, and the machine was started since."""
    logs: list[str] = []
    async with observatory(tmp_path) as station:
        (tmp_path / "data").mkdir()
        ahead = datetime.now(UTC) + timedelta(hours=1)
        store = SqliteStore(tmp_path / "data" / "series.sqlite")
        store.put_bins([], closed_until=ahead)
        store.close()
        async with station.up(logs):
            for _ in range(400):
                try:
                    health = await station.health()
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
            await asyncio.sleep(5)
            health = await station.health()
            assert health["data_age_seconds"] is None
            assert health["stale"] is True
            assert "which is in the future" in str(health["clock"])
        assert "no bin is closed" in logs[0]
        certain = Observatory(station.config, tmp_path, synced=True)
        async with certain.up(logs):
            health = await certain.closes()
            assert health["clock"] is None
            assert health["stale"] is False

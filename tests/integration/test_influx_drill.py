"""The live drill on InfluxDB, which goes down while the country is dark and comes back."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from influx_servers import Influxd

from netwatch.config import StoreConfig
from netwatch.lab.drill.runner import Drill, run_drill
from netwatch.lab.drill.scenario import Scenario

pytestmark = pytest.mark.timeout(110)
SHORT = Scenario(networks=8, cut=6, dark=timedelta(seconds=4))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Influxd]:
    folder = tmp_path / "influx"
    folder.mkdir()
    made = Influxd(folder)
    made.start()
    try:
        made.execute("CREATE DATABASE netwatch")
        yield made
    finally:
        made.kill()


async def test_a_drill_passes_though_its_store_goes_down_half_way(
    server: Influxd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NW_TOKEN", server.login.password)
    options: dict[str, object] = {
        "url": server.login.url,
        "password": "$NW_TOKEN",
        "timeout": "300ms",
    }
    progress: list[str] = []

    async def down_and_up() -> None:
        await asyncio.to_thread(server.kill)
        await asyncio.sleep(3)
        await asyncio.to_thread(server.start)

    drill = Drill(
        tmp_path / "drill",
        lambda _, text: progress.append(text),
        scenario=SHORT,
        store=StoreConfig(engine="influx"),
        stores={"influx": options},
        midway=down_and_up,
    )
    outcome = await run_drill(drill)
    assert outcome.passed, [str(finding) for finding in outcome.findings if not finding.holds]
    assert outcome.posts

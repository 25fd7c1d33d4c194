"""Parts put together from the configuration, and one clear line for each that cannot be."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from servers import free_port, tcp_server
from starlette.applications import Starlette

from netwatch.aio.tasks import run_until_signal
from netwatch.app.factories import (
    make_channels,
    make_entity_tree,
    make_probes,
    open_store,
    write_places,
)
from netwatch.app.observatory import (
    ObservatoryContext,
    metrics_route,
    open_context,
    run_pages,
)
from netwatch.app.transports import broker_password, renew_damaged_password
from netwatch.app.vantage import run_vantage
from netwatch.collector.metrics import CollectorMetrics
from netwatch.config import (
    AgentConfig,
    BrokerConfig,
    Config,
    PublishConfig,
    StoreConfig,
    WebConfig,
    parse_config,
    read_config,
    write_config,
)
from netwatch.lab.drill.loopback_country import make_country
from netwatch.lab.drill.scenario import drill_config
from netwatch.model.duration import PositiveDuration
from netwatch.model.entities import Entity
from netwatch.model.errors import ConfigError, NetwatchError, PluginError
from netwatch.model.measurement import Target

TARGET = Target("here", "tcp", "127.0.0.1", asn=64496, region="XT-N", country="XT", domain="x.test")


def changed(**changes: object) -> Config:
    return msgspec.structs.replace(Config(), **changes)


def test_the_password_of_the_embedded_broker_is_private(tmp_path: Path) -> None:
    config = changed(data=str(tmp_path / "data"))
    first = broker_password(config)
    assert len(first) >= 20
    assert broker_password(config) == first
    assert broker_password(changed(data=str(tmp_path / "other"))) != first
    [file] = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_processes_that_start_at_once_share_one_password(tmp_path: Path) -> None:
    config = changed(data=str(tmp_path / "data"))
    program = (
        "import sys; from netwatch.app.transports import broker_password; "
        "from netwatch.config import parse_config; "
        "print(broker_password(parse_config('data = ' + repr(sys.argv[1]))))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    passwords = {process.communicate(timeout=18)[0].strip() for process in started}
    assert passwords == {broker_password(config)}
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["broker.password"]


@pytest.mark.parametrize("left", [b"", b"\n", b"\0" * 32, b"\xff\xfe" * 16, b"short"])
def test_a_damaged_password_is_refused_until_the_broker_renews_it(
    tmp_path: Path, left: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    config = changed(data=str(tmp_path))
    path = tmp_path / "broker.password"
    path.write_bytes(left)
    with pytest.raises(ConfigError, match="is damaged; restart the process of the embedded broker"):
        broker_password(config)
    renew_damaged_password(config)
    assert len(broker_password(config)) >= 20
    renew_damaged_password(config)
    assert len(caplog.records) == 1


def test_a_configured_password_is_used(tmp_path: Path) -> None:
    broker = BrokerConfig(password="swordfish")
    assert broker_password(changed(data=str(tmp_path / "data"), broker=broker)) == "swordfish"
    assert not (tmp_path / "data").exists()


def test_an_unusable_data_folder_gives_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = changed(data=str(tmp_path / "file" / "data"))
    with pytest.raises(ConfigError, match="cannot be used: Not a directory"):
        broker_password(config)
    with pytest.raises(ConfigError, match="cannot be used"), open_context(config):
        pass


def test_targets_imply_entities_and_the_configuration_overrides_them() -> None:
    text = '[[place]]\nentity = "asn:64496"\nname = "Example"\nparent = "country:XT"\nweight = 7'
    config = parse_config(text)
    tree = make_entity_tree(msgspec.structs.replace(config, target=(TARGET,)))
    network = tree.info(Entity.parse("asn:64496"))
    assert (network.name, network.weight, network.parent) == (
        "Example",
        7.0,
        Entity.parse("country:XT"),
    )
    site = Entity.parse("domain:x.test")
    assert tree.ancestors(site) == (network.entity, Entity.parse("country:XT"))
    implied = make_entity_tree(changed(target=(replace(TARGET, asn=0),)))
    assert implied.ancestors(site) == (Entity.parse("region:XT-N"), Entity.parse("country:XT"))


def test_places_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    tree = make_entity_tree(changed(target=(TARGET,)))
    write_places(tmp_path / "data", tree)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["places.json"]
    assert b"64496" in (tmp_path / "data" / "places.json").read_bytes()


def test_processes_that_start_at_once_write_places_without_an_error(tmp_path: Path) -> None:
    tree = make_entity_tree(changed(target=(TARGET,)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write_places(tmp_path, tree), range(200)))
    assert [path.name for path in tmp_path.iterdir()] == ["places.json"]


def test_parts_are_opened_together_and_closed_together(tmp_path: Path) -> None:
    with open_context(changed(data=str(tmp_path / "data"), target=(TARGET,))) as opened:
        assert isinstance(opened, ObservatoryContext)
        assert opened.ledger.incidents() == []
        assert opened.store.closed_until() is None
    files = {path.name for path in (tmp_path / "data").iterdir()}
    assert {"ledger.sqlite", "places.json"} <= files


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        (
            changed(publish=PublishConfig(channels=("fax",))),
            PluginError,
            "no channel named 'fax'; installed: console, file, mqtt, webhook",
        ),
        (
            changed(publish=PublishConfig(channels=("webhook",))),
            ConfigError,
            "channels.webhook: Object missing required field `url`",
        ),
    ],
)
def test_an_unusable_channel_gives_a_one_line_error(
    config: Config, error: type[NetwatchError], message: str
) -> None:
    with pytest.raises(error) as refused:
        make_channels(config)
    assert str(refused.value) == message


PLAINTEXT = (
    "channels.webhook: url: http://hooks.example would send in plaintext; write https://, or "
    "insecure = true if nobody else is on the network in between"
)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            '[channels.webhook]\nurl = "https://h"\nurll = "https://h"',
            "channels.webhook: Object contains unknown field `urll`",
        ),
        ("[channels.console]\nx = 1", "channels.console: Object contains unknown field `x`"),
        (
            '[channels.webhook]\nurl = "https://h"\ntimeout = 5',
            'channels.webhook: timeout: expected a duration such as "5m"',
        ),
        (
            '[channels.webhook]\nurl = "http://hooks.example/secret"',
            PLAINTEXT,
        ),
        (
            '[channels.fax]\nurl = "https://h"',
            "[channels.fax]: no channel named 'fax'; installed: console, file, mqtt, webhook",
        ),
    ],
)
def test_a_wrong_option_of_a_plugin_gives_a_one_line_error(table: str, message: str) -> None:
    config = parse_config(f'[publish]\nchannels = ["console", "webhook"]\n{table}')
    with pytest.raises(NetwatchError) as refused:
        make_channels(config)
    assert str(refused.value) == message


def test_a_language_without_templates_gives_a_one_line_error(tmp_path: Path) -> None:
    text = f'data = "{tmp_path / "new"}"\n[publish]\nlanguages = ["en", "tlh"]'
    with pytest.raises(ConfigError) as refused, open_context(parse_config(text)):
        pass
    assert str(refused.value).startswith("publish.languages: no templates for tlh; installed: ")
    assert list(tmp_path.iterdir()) == []


def test_every_channel_that_comes_with_netwatch_can_be_made(tmp_path: Path) -> None:
    names = ("console", "file", "mqtt", "webhook")
    options: dict[str, dict[str, object]] = {"webhook": {"url": "http://127.0.0.1:9/hook"}}
    config = changed(data=str(tmp_path), publish=PublishConfig(channels=names), channels=options)
    made = make_channels(config)
    assert tuple(made) == names
    assert all(channel.name == name for name, channel in made.items())


def test_an_unknown_engine_or_probe_gives_a_one_line_error(tmp_path: Path) -> None:
    config = changed(data=str(tmp_path), store=StoreConfig(engine="abacus"))
    with pytest.raises(PluginError, match=r"no store named 'abacus'; installed: .*sqlite"):
        open_store(config)
    with pytest.raises(PluginError, match=r"no probe named 'telepathy'; installed: .*tcp"):
        make_probes(config, ["telepathy"])
    assert list(make_probes(config, ["tcp", "tcp", "dns"])) == ["dns", "tcp"]


async def test_a_vantage_without_a_target_gives_a_one_line_error() -> None:
    with pytest.raises(ConfigError, match="target: none is configured, so "):
        await run_vantage(Config())


async def test_an_address_in_use_gives_a_one_line_error(tmp_path: Path) -> None:
    async with tcp_server() as port:
        config = changed(data=str(tmp_path), web=WebConfig(port=port))
        with open_context(config) as opened, pytest.raises(ConfigError) as refused:
            await run_pages(opened)
    assert str(refused.value) == f"web: cannot listen on 127.0.0.1:{port}: Address already in use"


async def test_the_page_is_served_until_it_is_cancelled(tmp_path: Path) -> None:
    port = free_port()
    with open_context(changed(data=str(tmp_path), web=WebConfig(port=port))) as opened:
        task = asyncio.ensure_future(run_pages(opened))
        async with asyncio.timeout(15):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    break
                except ConnectionRefusedError:
                    await asyncio.sleep(0.02)
            writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_metrics_are_served_in_the_format_of_prometheus() -> None:
    registry = CollectorRegistry()
    CollectorMetrics(registry).batches.labels("stored").inc(3)
    app = Starlette(routes=[metrics_route(registry)])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert 'netwatch_batches_total{result="stored"} 3.0' in answer.text.splitlines()


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 200), ("0.0.0.0", 404)])
async def test_metrics_are_served_on_loopback_alone(tmp_path: Path, host: str, status: int) -> None:
    web = WebConfig(host=host, port=free_port())
    with open_context(changed(data=str(tmp_path), web=web)) as context:
        task = asyncio.ensure_future(run_pages(context))
        url = f"http://127.0.0.1:{web.port}/metrics"
        async with asyncio.timeout(15), httpx.AsyncClient(trust_env=False) as client:
            while True:
                try:
                    answer = await client.get(url)
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)
        assert answer.status_code == status
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_signal_cancels_the_work_which_cleans_up() -> None:
    done = []

    async def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            done.append("clean")

    run_until_signal(work())
    assert done == ["clean"]


def test_run_until_signal_returns_or_raises_with_its_work() -> None:
    async def works() -> None:
        await asyncio.sleep(0)

    async def fails() -> None:
        raise ConfigError("it cannot be")

    run_until_signal(works())
    with pytest.raises(ConfigError, match="it cannot be"):
        run_until_signal(fails())


def test_a_configuration_that_is_written_is_read_as_the_same(tmp_path: Path) -> None:
    country = make_country(3)
    config = drill_config(str(tmp_path), 1883, country=country, targets=[TARGET])
    config = msgspec.structs.replace(
        config,
        web=WebConfig(port=8081),
        agent=AgentConfig(timeout=PositiveDuration(milliseconds=250)),
        stores={"influx": {"timeout": "5s"}},
    )
    path = tmp_path / "deep" / "netwatch.toml"
    write_config(config, path)
    assert read_config(path) == config
    assert read_config(path).agent.timeout == timedelta(milliseconds=250)

"""A signed list from the operator's file to an agent's batches, and the operator's pause."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers import PASSWORD, USERNAME, free_port, until
from typer.testing import CliRunner
from uplink_rig import serving

from netwatch.agent.enrollment_client import Enrollment
from netwatch.agent.record_file import write_record
from netwatch.app.fleet_admin import collector_identity, targets_identity
from netwatch.app.http_agent_routes import target_list_route
from netwatch.app.target_list_publisher import read_published, run_list_publisher
from netwatch.app.target_selection import fetch_target_list, open_target_list_store
from netwatch.app.transports import broker_connector
from netwatch.app.vantage import run_vantage
from netwatch.app.vantage_files import enrollment_path
from netwatch.cli.main import app
from netwatch.collector.batch_log import BatchLog
from netwatch.collector.loop import CollectorDeps, run_collector
from netwatch.config import AnalysisConfig, Config, read_config
from netwatch.model.duration import Duration
from netwatch.model.errors import TransportError
from netwatch.store.memory import MemoryStore
from netwatch.wire.embedded_broker import EmbeddedBroker
from netwatch.wire.request_encryption import encryption_key

LIST = """
[[target]]
id = "exchange"
probe = "tcp"
host = "ix.example.org"
[[target]]
id = "paper"
probe = "tcp"
host = "news.example.org"
tier = "C"
category = "NEWS"
"""


def now() -> datetime:
    return datetime.now(UTC)


def write_config(folder: Path, port: int) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "netwatch.toml"
    path.write_text(
        f"""
data = "{folder / "data"}"
[broker]
embedded = true
port = {port}
username = "{USERNAME}"
password = "{PASSWORD}"
[vantage]
id = "here"
country = "XX"
asn = 64500
[agent]
period = "300ms"
timeout = "5s"
flush_interval = "200ms"
[[target]]
id = "own"
probe = "tcp"
host = "127.0.0.1"
port = 9
"""
    )
    return path


def netwatch(config: Path, *words: str) -> str:
    found = CliRunner().invoke(app, [*words, "--config", str(config)])
    assert found.exit_code == 0, found.exception
    return found.stdout


@pytest.fixture(autouse=True)
def no_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve every name to a private address, where no probe is sent."""
    ask = socket.getaddrinfo

    def answer(host: str, *rest: object, **more: object) -> object:
        if str(host).endswith(".example.org"):
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]
        return ask(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


class Heard:
    """A collector that the agent trusts, and its batches."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._path = Path(config.data) / "batches.sqlite"
        self._path.parent.mkdir(exist_ok=True)
        BatchLog(self._path).close()

    async def listen(self) -> None:
        with BatchLog(self._path) as batch_log:
            await run_collector(
                CollectorDeps(
                    connect=broker_connector(self._config),
                    batch_log=batch_log,
                    store=MemoryStore(),
                    targets={},
                    clock=now,
                    config=AnalysisConfig(
                        bin=Duration(seconds=1), late_data_grace=Duration(seconds=1)
                    ),
                    signer=collector_identity(self._config).signer,
                )
            )

    def of(self, target: str) -> list[str | None]:
        """Return the outcomes of a target's measurements, in order."""
        hour = timedelta(hours=1)
        with BatchLog(self._path) as batch_log:
            rows = [row for _, row in batch_log.measurements(now() - hour, now() + hour)]
        return [
            row.failure for row in sorted(rows, key=lambda row: row.time) if row.target == target
        ]


@asynccontextmanager
async def running(*work: object) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def make_member(operator: Path, host: Path, url: str = "http://127.0.0.1:1") -> Enrollment:
    config = read_config(operator)
    enrolled = Enrollment(
        url,
        collector_identity(config).signer.public.hex(),
        encryption_key(collector_identity(config).signer).hex(),
        targets_identity(config).signer.public.hex(),
    )
    write_record(enrollment_path(read_config(host)), enrolled)
    return enrolled


async def test_a_list_reaches_a_running_agent_and_so_does_a_pause(tmp_path: Path) -> None:
    broker = EmbeddedBroker(users={USERNAME: PASSWORD})
    (tmp_path / "targets.toml").write_text(LIST)
    async with broker:
        operator = write_config(tmp_path / "operator", broker.port)
        host = write_config(tmp_path / "host", broker.port)
        make_member(operator, host)
        heard = Heard(read_config(operator))
        work = (
            heard.listen(),
            run_list_publisher(read_config(operator)),
            run_vantage(read_config(host)),
        )
        async with running(*work):
            await until(lambda: len(heard.of("own")) > 1)
            netwatch(operator, "agents", "publish", str(tmp_path / "targets.toml"))
            # What its host has not agreed to it leaves alone, and goes on with its own.
            await until(lambda: bool(heard.of("exchange")))
            assert set(heard.of("exchange")) == {"dns_bogon_error"}
            assert heard.of("paper") == []
            netwatch(operator, "agents", "pause", "2h", "--reason", "a fault in the list")
            await until(lambda: heard.of("@pause") == ["observatory"])
            status = json.loads(netwatch(host, "agent", "status", "--json"))
            assert status["observatory_pause_reason"] == "a fault in the list"
            assert status["list_skipped"] == 1
            measured = len(heard.of("own"))
            netwatch(operator, "agents", "pause", "0s")
            await until(lambda: heard.of("@pause") == ["observatory", None])
            await until(lambda: len(heard.of("own")) > measured + 1)


async def test_a_list_signed_with_another_key_is_refused_and_reported(tmp_path: Path) -> None:
    broker = EmbeddedBroker(users={USERNAME: PASSWORD})
    (tmp_path / "targets.toml").write_text(LIST)
    async with broker:
        operator = write_config(tmp_path / "operator", broker.port)
        stranger = write_config(tmp_path / "stranger", broker.port)
        host = write_config(tmp_path / "host", broker.port)
        make_member(operator, host)
        netwatch(stranger, "agents", "publish", str(tmp_path / "targets.toml"))
        book = open_target_list_store(read_config(host))
        async with running(
            run_list_publisher(read_config(stranger)), run_vantage(read_config(host))
        ):
            await until(lambda: book.rejection() is not None)
    status = json.loads(netwatch(host, "agent", "status", "--json"))
    assert "not the observatory's" in status["list_rejected"]
    assert (status["list_version"], status["targets"]) == (None, 1)


@asynccontextmanager
async def mirror(operator: Path, port: int) -> AsyncIterator[None]:
    async with serving([target_list_route(lambda: read_published(read_config(operator)))], port):
        yield


async def test_the_mirror_serves_the_same_list(tmp_path: Path) -> None:
    port = free_port()
    operator, host = (write_config(tmp_path / name, 1) for name in ("operator", "host"))
    enrolled = make_member(operator, host, f"http://127.0.0.1:{port}")
    book = open_target_list_store(read_config(host))
    async with mirror(operator, port):
        with pytest.raises(TransportError, match="status 404"):
            await fetch_target_list(enrolled, book)
        (tmp_path / "targets.toml").write_text(LIST)
        netwatch(operator, "agents", "publish", str(tmp_path / "targets.toml"))
        assert await fetch_target_list(enrolled, book)
        assert not await fetch_target_list(enrolled, book)  # no news
        (operator.parent / "data" / "targets.signed").write_bytes(b"x" * 300_000)
        with pytest.raises(TransportError, match="more than 262144 bytes"):
            await fetch_target_list(enrolled, book)
    listed = book.current()
    assert listed is not None
    assert [one.target.id for one in listed.listed_targets()] == ["exchange", "paper"]

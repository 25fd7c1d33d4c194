"""Enrollment by command over HTTP on loopback, and against hostile servers."""

import asyncio
import gzip
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from servers import free_port, until
from starlette.applications import Starlette
from strange_requests import requests_by
from typer.testing import CliRunner
from uplink_rig import running, serving

from netwatch.agent import http_client as fetching
from netwatch.agent.http_client import fetch
from netwatch.agent.identity import Identity
from netwatch.app.fleet_admin import collector_identity, make_enrollment_service
from netwatch.app.http_enrollment_routes import enrollment_routes
from netwatch.app.sender_limits import Allowances, KeyedRateLimit
from netwatch.cli.main import app
from netwatch.collector.agent_tables import Standing
from netwatch.config import read_config
from netwatch.model.errors import TransportError
from netwatch.wire.enrollment import ERASURE_PATH

Command = Callable[..., Result]


def write_config(folder: Path, port: int, name: str = "here") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "netwatch.toml"
    path.write_text(
        f"""
data = "{folder / "data"}"
[broker]
embedded = false
host = "broker.example"
port = 8883
tls = true
password = "x"
[fleet]
url = "http://127.0.0.1:{port}"
[vantage]
id = "{name}"
country = "XX"
asn = 64500
"""
    )
    return path


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def operator(tmp_path: Path, port: int) -> Path:
    return write_config(tmp_path / "operator", port)


@pytest.fixture
def host(tmp_path: Path, port: int) -> Path:
    return write_config(tmp_path / "host", port)


def netwatch(config: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--config", str(config)])


@asynccontextmanager
async def observatory(config: Path, port: int) -> AsyncIterator[None]:
    async with serving(enrollment_routes(make_enrollment_service(read_config(config))), port):
        yield


async def run(config: Path, *words: str) -> Result:
    """Run a command in a thread while the server runs."""
    return await asyncio.to_thread(netwatch, config, *words)


def refusal(result: Result) -> str:
    """Return the one line of an error."""
    assert result.exit_code == 2
    [line] = result.stderr.splitlines()
    return line


def token_of(operator: Path, *words: str) -> str:
    found = netwatch(operator, "agents", "invite", "--json", *words)
    assert found.exit_code == 0, found.exception
    return str(json.loads(found.stdout)["token"])


def states(operator: Path) -> dict[str, str]:
    found = json.loads(netwatch(operator, "agents", "list", "--json").stdout)
    return {one["name"]: one["state"] for one in found}


async def test_from_invitation_to_erasure(operator: Path, host: Path, port: int) -> None:
    assert "No agents yet" in netwatch(operator, "agents", "list").stdout
    token = token_of(operator, "--country", "XX")
    async with observatory(operator, port):
        unasked = await run(host, "agent", "enroll", token)
        assert "first read and agree" in refusal(unasked)
        netwatch(host, "agent", "consent", "grant", "--accept-consent", "2")
        enrolled = json.loads((await run(host, "agent", "enroll", token, "--json")).stdout)
        assert enrolled["brokers"] == ["mqtts://broker.example:8883"]
        assert states(operator) == {"here": "enrolled"}
        changed = await run(host, "agent", "change-key", "--json")
        assert len(json.loads(changed.stdout)["key"]) == 32
        gone = json.loads((await run(host, "agent", "purge", "--yes", "--json")).stdout)
        assert gone["erased_by"] == f"http://127.0.0.1:{port}"
    assert states(operator) == {}
    assert list((host.parent / "data").iterdir()) == []


async def test_a_token_works_once(operator: Path, host: Path, port: int, tmp_path: Path) -> None:
    token = token_of(operator)
    second = write_config(tmp_path / "second", port, "there")
    async with observatory(operator, port):
        for config in (host, second):
            netwatch(config, "agent", "consent", "grant", "--accept-consent", "2")
        assert (await run(host, "agent", "enroll", token)).exit_code == 0
        found = await run(second, "agent", "enroll", token)
    assert "used already" in refusal(found)
    assert states(operator) == {"here": "enrolled"}


async def test_another_observatory_at_that_address_is_refused(
    operator: Path, host: Path, port: int, tmp_path: Path
) -> None:
    token = token_of(operator)
    netwatch(host, "agent", "consent", "grant", "--accept-consent", "2")
    async with observatory(write_config(tmp_path / "middle", port), port):
        found = await run(host, "agent", "enroll", token)
    assert "answers with status 400" in refusal(found)
    assert not list((host.parent / "data").glob("observatory-*"))


async def test_an_unreachable_server_is_one_line_and_the_token_stays_valid(
    operator: Path, host: Path, port: int
) -> None:
    token = token_of(operator)
    netwatch(host, "agent", "consent", "grant", "--accept-consent", "2")
    found = await run(host, "agent", "enroll", token)
    assert "cannot be reached" in refusal(found)
    async with observatory(operator, port):
        assert (await run(host, "agent", "enroll", token)).exit_code == 0
    # Purging without anybody to ask erases nothing, unless that is wanted.
    assert "nothing was erased" in refusal(await run(host, "agent", "purge", "--yes"))
    assert list((host.parent / "data").glob("agent-*.key"))
    assert netwatch(host, "agent", "purge", "--yes", "--local").exit_code == 0
    assert list((host.parent / "data").iterdir()) == []


Writer = Callable[[asyncio.StreamWriter], object]


@asynccontextmanager
async def hostile(misbehave: Callable[[asyncio.StreamWriter], object]) -> AsyncIterator[str]:
    """Serve connections by a function that violates HTTP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            await reader.read(100)
            await misbehave(writer)  # type: ignore[misc]
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{place}/v1/enrollments"
    finally:
        server.close()


OK = b"HTTP/1.1 200 OK\r\n"


async def endless_body(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"\r\n")
    for _ in range(10_000):
        writer.write(b"x" * 65_536)
        await writer.drain()


async def a_byte_a_while(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.1)


async def headers_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    for number in range(2_000_000):
        writer.write(b"X-%d: %s\r\n" % (number, b"y" * 1000))
        await writer.drain()


async def a_header_a_while(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    for _ in range(1000):
        writer.write(b"X: y\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def redirect_to_itself(writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 307 Over there\r\nLocation: /v1/enrollments\r\nContent-Length: 0\r\n\r\n"
    )
    await writer.drain()


async def compression_bomb(writer: asyncio.StreamWriter) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    writer.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
    await writer.drain()


async def nothing(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def no_http(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff" * 100)
    await writer.drain()


@pytest.mark.parametrize(
    "misbehave",
    [endless_body, a_byte_a_while, headers_without_end, a_header_a_while, redirect_to_itself,
     compression_bomb, nothing, no_http],
)  # fmt: skip
async def test_a_hostile_server_is_limited_in_time_and_size(
    misbehave: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TIMEOUT", 1.0)
    since = time.monotonic()
    async with hostile(misbehave) as url:
        with pytest.raises(TransportError) as caught:
            await fetch(url, b"hello", 4096)
    assert time.monotonic() - since < 8
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


async def test_an_oversized_empty_or_garbage_body_is_refused(operator: Path, port: int) -> None:
    async with observatory(operator, port):
        for body, status in [(b"x" * 100_000, 413), (b"", 400), (b"x" * 100, 400)]:
            with pytest.raises(TransportError, match=f"status {status}"):
                await fetch(f"http://127.0.0.1:{port}/v1/enrollments", body, 4096)
        with pytest.raises(TransportError, match="status 405"):
            await fetch(f"http://127.0.0.1:{port}/v1/erasures", None, 4096)


async def test_strangers_cannot_shut_enrollment_key_change_and_erasure(
    operator: Path, host: Path, port: int, tmp_path: Path
) -> None:
    """A flood of well-formed requests with unknown tokens and keys, each as soon as it may be."""
    second = write_config(tmp_path / "second", port, "there")
    for config in (host, second):
        netwatch(config, "agent", "consent", "grant", "--accept-consent", "2")
    tokens = token_of(operator), token_of(operator)
    key = collector_identity(read_config(operator)).signer
    stranger = Identity(Ed25519PrivateKey.generate()).signer
    statuses: Counter[int] = Counter()

    async def flood(path: str, bodies: list[bytes]) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for body in itertools.cycle(bodies):
                statuses[(await client.post(path, content=body, timeout=30)).status_code] += 1

    async with observatory(operator, port):
        assert (await run(host, "agent", "enroll", tokens[0])).exit_code == 0
        forged = requests_by(stranger, key, "here", 50)
        floods = [flood(path, bodies) for path, bodies in forged.items() for _ in range(2)]
        async with running(*floods):
            await until(lambda: statuses[429] > 200, seconds=30)
            assert (await run(second, "agent", "enroll", tokens[1])).exit_code == 0
            assert (await run(host, "agent", "change-key")).exit_code == 0
            assert (await run(host, "agent", "purge", "--yes")).exit_code == 0
    assert set(statuses) == {200, 429}
    assert states(operator) == {"there": "enrolled"}


async def test_one_token_and_one_key_have_an_allowance_of_their_own(operator: Path) -> None:
    counted: Counter[str] = Counter()
    allowances = Allowances(
        each=KeyedRateLimit(rate=0.001, burst=3),
        shared={Standing.NEW: (0.001, 4)},
        count=lambda reason: counted.update([reason]),
    )
    desk = make_enrollment_service(read_config(operator))
    routes = enrollment_routes(desk, allowances)
    transport = httpx.ASGITransport(Starlette(routes=routes))
    key = collector_identity(read_config(operator)).signer
    async with httpx.AsyncClient(transport=transport, base_url="http://n.example") as client:

        async def ask(times: int) -> list[int]:
            stranger = Identity(Ed25519PrivateKey.generate()).signer
            bodies = requests_by(stranger, key, "a1", times)[ERASURE_PATH]
            return [(await client.post(ERASURE_PATH, content=one)).status_code for one in bodies]

        assert await ask(5) == [200, 200, 200, 429, 429]
        assert await ask(3) == [200, 429, 429]
        assert (await client.post(ERASURE_PATH, content=b"x")).status_code == 400
    assert counted == {"sender_rate": 2, "new_rate": 2}

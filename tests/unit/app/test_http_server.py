"""The HTTP server facing unknown clients."""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hostile_clients import SLOW_CLIENTS, exchange, holding, slow_head
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from strange_requests import SHAPES
from uplink_rig import running

from netwatch.app import http_connection
from netwatch.app.connection_shares import Door
from netwatch.app.http_server import affordable_shares, serve

HEAD = b"Host: here\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"


async def _page(_request: Request) -> Response:
    return Response(b"x" * 100_000)


async def _batch(request: Request) -> Response:
    try:
        return Response(str(len(await request.body())))
    except ClientDisconnect:
        return Response()


ROUTES = [
    Route("/", _page),
    Route("/v1/health", _page),
    Route("/v1/batches", _batch, methods=["POST"]),
    Route("/v1/enrollments", _batch, methods=["POST"]),
]


@asynccontextmanager
async def server(places: int = 0) -> AsyncIterator[tuple[int, Counter[str]]]:
    """Run the server, with so many places at each door; yields its port and what it counted."""
    listener = socket.create_server(("127.0.0.1", 0))
    counted: Counter[str] = Counter()
    shares = dict.fromkeys(Door, places) if places else None
    app = Starlette(routes=ROUTES)
    work = serve(app, listener, shares=shares, count=lambda reason: counted.update([reason]))
    async with running(work):
        yield listener.getsockname()[1], counted


@pytest.mark.slow
@pytest.mark.parametrize("client", SLOW_CLIENTS)
async def test_slow_clients_shut_no_door(client: str) -> None:
    """600 of them, which insist; every door answers at once, and descriptors are left."""
    post = b"POST /v1/%s HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 2\r\n\r\nNW"
    async with server() as (port, _), holding(SLOW_CLIENTS[client], port, count=600):
        for request in (REQUEST, post % b"batches", post % b"enrollments"):
            for _ in range(3):
                answer = await exchange(port, request, seconds=15)
                assert answer.startswith(b"HTTP/1.1 200 "), (request, answer[:100])


async def test_a_connection_without_a_request_is_closed_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.3)
    async with server() as (port, counted):
        async with asyncio.timeout(5):
            await slow_head(port)
        assert counted == {"slow": 1}


async def test_a_request_whose_body_never_ends_is_closed_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_connection, "REQUEST_SECONDS", 0.3)
    async with server() as (port, counted):
        async with asyncio.timeout(5):
            await SLOW_CLIENTS["slow_body"](port)
        assert counted == {"slow": 1}


async def test_an_idle_connection_gives_way_to_a_new_one() -> None:
    async with server(places=4) as (port, counted):
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
        assert b" 200 " in await exchange(port, REQUEST)
        assert await idle[0][0].read() == b""
        assert counted == {"crowded": 1}
        idle[1][1].write(REQUEST)
        assert b" 200 " in await idle[1][0].readline()
        for _, writer in idle:
            writer.close()


@pytest.mark.parametrize("number", range(len(SHAPES)))
async def test_malformed_requests_get_a_status_and_count_once(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    request, status, reason = SHAPES[number]
    async with server() as (port, counted):
        answer = await exchange(port, request)
        line = answer.split(b"\r\n", 1)[0]
        assert line[9:12] in {status, b"501"}, answer[:200]
        assert counted == {reason: 1}
        assert b" 200 " in await exchange(port, REQUEST)
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


async def test_an_agents_idle_connection_is_not_among_those_of_strangers() -> None:
    post = b"POST /v1/batches HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\nNW"
    async with server(places=4) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(post)
            assert b" 200 " in await reader.readline()
            await reader.readuntil(b"\r\n\r\n2")
            strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
            slow = [await asyncio.open_connection("127.0.0.1", port) for _ in range(10)]
            for _, other in slow:
                other.write(post[:-1])
            await asyncio.sleep(0.1)
            for _, other in strangers + slow:
                other.close()
        writer.close()


async def test_old_and_pipelined_requests_are_answered() -> None:
    async with server() as (port, counted):
        answer = await exchange(port, b"GET / HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        answer = await exchange(port, REQUEST.replace(b"Connection: close\r\n", b"") * 3 + REQUEST)
        assert answer.count(b"HTTP/1.1 200 ") == 4
        assert not counted


async def test_a_websocket_upgrade_is_an_ordinary_request() -> None:
    upgrade = b"Connection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    async with server() as (port, _):
        answer = await exchange(port, b"GET / HTTP/1.1\r\n" + HEAD + upgrade + key, seconds=1)
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_the_shares_fit_the_descriptors_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 512))
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.setrlimit", lambda _, limits: asked.append(limits))
    shares = affordable_shares()
    assert asked == [(512, 512)]
    assert 100 < sum(shares.values()) < 256
    assert all(shares.values())

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from servers import free_port, tcp_server

from netwatch.model.measurement import Target
from netwatch_probes.http import HttpProbe

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(answer: bytes, seen: list[bytes] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(request)
        writer.write(answer)
        await writer.drain()

    return handle


async def words(
    port: int, host: str = "127.0.0.1", within: float = 5.0, path: str = ""
) -> list[tuple[str, str | None]]:
    place = Target("one", "http", host, port=port, path=path)
    steps = await HttpProbe().measure(place, within=within)
    assert all(step.seconds >= 0 for step in steps)
    return [(step.operation, step.failure) for step in steps]


def last(word: str | None) -> list[tuple[str, str | None]]:
    return [("connect", None), ("http_round_trip", word)]


async def test_an_answer_is_a_success_and_the_request_says_what_we_are() -> None:
    seen: list[bytes] = []
    async with tcp_server(answering(OK, seen)) as port:
        assert await words(port, "localhost", path="/a?b=c") == [("resolve", None), *last(None)]
    request = seen[0].decode()
    assert request.startswith("GET /a?b=c HTTP/1.1\r\n")
    assert f"Host: localhost:{port}\r\n" in request
    assert "Range: bytes=0-1023\r\n" in request
    assert "User-Agent: netwatch" in request
    assert "Cookie" not in request


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("204 No Content", None),
        ("403 Forbidden", None),
        ("404 Not Found", None),
        ("429 Too Many", None),
        ("451 Legal", "http_unexpected_status_code"),
        ("500 Oops", "http_unexpected_status_code"),
        ("503 Busy", "http_unexpected_status_code"),
    ],
)
async def test_statuses(status: str, word: str | None) -> None:
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with tcp_server(answering(answer)) as port:
        assert await words(port) == last(word)


@pytest.mark.parametrize(
    ("location", "word"),
    [
        ("/elsewhere", None),
        ("https://www.example.org/", None),
        ("https://EXAMPLE.org./", None),
        ("http://portal.example.net/login", "http_unexpected_redirect_url"),
        ("http://[broken", "http_unexpected_redirect_url"),
    ],
)
async def test_redirects_are_judged_and_never_followed(
    location: str, word: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch_probes.steps._look_up", lambda host: (2, "127.0.0.1"))
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    seen: list[bytes] = []
    async with tcp_server(answering(answer, seen)) as port:
        found = await words(port, "example.org")
    assert found == [("resolve", None), *last(word)]
    assert len(seen) == 1


async def test_a_refused_connection_ends_at_connect() -> None:
    assert await words(free_port()) == [("connect", "connection_refused")]


async def test_a_server_that_hangs_up() -> None:
    async with tcp_server() as port:
        ((_, first), (operation, word)) = await words(port)
    assert (first, operation) == (None, "http_round_trip")
    assert word in {"eof_error", "connection_reset"}


async def test_a_server_that_speaks_something_else() -> None:
    async with tcp_server(answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as port:
        assert await words(port) == last("http_request_failed")


async def test_a_silent_server_is_a_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_server(silent) as port:
        assert await words(port, within=0.3) == last("generic_timeout_error")


async def test_an_endless_body_is_cut_off() -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 4096)
            sent += 4096
            await writer.drain()

    async with tcp_server(endless) as port:
        assert await words(port) == last(None)
    assert sent < 20_000_000


async def test_one_byte_a_second_costs_its_timeout() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for letter in OK.decode():
            writer.write(letter.encode())
            await writer.drain()
            await asyncio.sleep(0.2)

    async with tcp_server(slow) as port:
        assert await words(port, within=0.5) == last("generic_timeout_error")


async def test_endless_headers_are_cut_off() -> None:
    async def headers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100_000):
            writer.write(b"X-%d: %s\r\n" % (number, b"y" * 1000))
            await writer.drain()

    async with tcp_server(headers) as port:
        ((_, first), (_, word)) = await words(port)
    assert first is None
    assert word in {"http_request_failed", "eof_error"}

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from hashlib import sha256

import pytest
from servers import free_port, tcp_server

from netwatch.model.failure import FailureScope, lookup_failure
from netwatch.model.measurement import Target
from netwatch_probes.http import HttpProbe
from netwatch_probes.simhash import simhash

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answering(answer: bytes, requests: list[bytes] | None = None) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if requests is not None:
            requests.append(request)
        writer.write(answer)
        await writer.drain()

    return handle


async def detail_of(answer: bytes) -> str:
    async with tcp_server(answering(answer)) as port:
        place = Target("one", "http", "127.0.0.1", port=port)
        return (await HttpProbe().measure(place, within=5))[-1].detail


async def words(
    port: int, host: str = "127.0.0.1", within: float = 5.0, path: str = ""
) -> list[tuple[str, str | None]]:
    place = Target("one", "http", host, port=port, path=path)
    steps = await HttpProbe().measure(place, within=within)
    assert all(step.seconds >= 0 for step in steps)
    return [(step.operation, step.failure) for step in steps]


def last(word: str | None) -> list[tuple[str, str | None]]:
    return [("connect", None), ("http_round_trip", word)]


async def test_a_response_is_a_success_and_the_request_identifies_netwatch() -> None:
    requests: list[bytes] = []
    async with tcp_server(answering(OK, requests)) as port:
        assert await words(port, "localhost", path="/a?b=c") == [("resolve", None), *last(None)]
    request = requests[0].decode()
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
    monkeypatch.setattr("netwatch_probes.recorder._look_up", lambda host: (2, "127.0.0.1"))
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    requests: list[bytes] = []
    async with tcp_server(answering(answer, requests)) as port:
        outcomes = await words(port, "example.org")
    assert outcomes == [("resolve", None), *last(word)]
    assert len(requests) == 1


async def test_a_refused_connection_ends_at_connect() -> None:
    assert await words(free_port()) == [("connect", "connection_refused")]


async def test_a_server_that_closes_early() -> None:
    async with tcp_server() as port:
        ((_, first), (operation, word)) = await words(port)
    assert (first, operation) == (None, "http_round_trip")
    assert word in {"eof_error", "connection_reset"}


async def test_a_server_that_does_not_speak_http() -> None:
    async with tcp_server(answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as port:
        assert await words(port) == last("http_request_failed")


async def test_a_silent_server_is_a_timeout() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_server(silent) as port:
        assert await words(port, within=0.3) == last("generic_timeout_error")


async def test_one_byte_a_second_costs_the_timeout() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for letter in OK.decode():
            writer.write(letter.encode())
            await writer.drain()
            await asyncio.sleep(0.2)

    async with tcp_server(slow) as port:
        assert await words(port, within=0.5) == last("generic_timeout_error")


@pytest.mark.parametrize(
    ("wanted", "answer", "word"),
    [
        ("204", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        ("204", OK, "http_unexpected_status_code"),
        (sha256(b"ok").hexdigest()[:12], OK, None),
        (sha256(b"ok").hexdigest()[:12].upper(), OK, None),
        (sha256(b"no").hexdigest()[:12], OK, "http_request_failed"),
        (
            sha256(b"").hexdigest()[:12],
            b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n",
            "http_unexpected_status_code",
        ),
        (
            "204",
            b"HTTP/1.1 302 Go\r\nLocation: http://portal.example/\r\nContent-Length: 0\r\n\r\n",
            "http_unexpected_redirect_url",
        ),
    ],
)
async def test_a_portal_check_accepts_only_the_expected_response(
    wanted: str, answer: bytes, word: str | None
) -> None:
    requests: list[bytes] = []
    async with tcp_server(answering(answer, requests)) as port:
        assert await words(port, path=f"/check#{wanted}") == last(word)
    assert requests[0].startswith(b"GET /check HTTP/1.1\r\n")


async def test_the_detail_distinguishes_and_recognises_pages() -> None:
    page = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: %d\r\n\r\n%s"
    text = b"the first page of many words " * 20
    same = await detail_of(page % (len(text), text))
    assert await detail_of(page % (len(text), text)) == same
    other = await detail_of(page % (5, b"other"))
    status, length, likeness, names = same.split(",")
    assert (status, length) == ("200", str(len(text)))
    assert likeness == f"{simhash(text):016x}"
    assert likeness != other.split(",")[2]
    assert names == other.split(",")[3]
    assert names != (await detail_of(OK)).split(",")[3]


async def test_an_invalid_path_is_not_the_servers_fault() -> None:
    async with tcp_server(answering(OK)) as port:
        ((_, first), (_, word)) = await words(port, path="/a b")
    assert first is None
    assert lookup_failure(word or "").scope is FailureScope.LOCAL


async def test_nothing_is_decompressed() -> None:
    """A compression bomb counts as 20 kB, not 20 MB."""
    bomb = gzip.compress(bytes(20_000_000))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    detail = await detail_of(head % len(bomb) + bomb)
    assert detail.startswith("200,16384,")

"""What every `Channel` promises, on real places: a terminal, a folder, a broker, an HTTP server."""

import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from certificates import Authority
from server_faults import forge_tls_record
from servers import tcp_server

from netwatch.model.incident import Post
from netwatch.plugins import load_plugin, plugin_names
from netwatch.protocols import Channel
from netwatch.publish.channels.console import ConsoleChannel
from netwatch.publish.channels.file import FileChannel
from netwatch.publish.channels.mqtt import MqttChannel
from netwatch.publish.channels.webhook import WebhookChannel
from netwatch.wire.memory import MemoryBroker, MemoryTransport

MakePost = Callable[..., Post]
Shown = Callable[[], list[str]]


class Receiver(ThreadingHTTPServer):
    """An HTTP server on loopback that records requests and returns the responses set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.seen: dict[str, bytes] = {}
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests += 1
        status, headers = self.server.answers.pop(0) if self.server.answers else (204, {})
        if status < 300:
            self.server.seen[self.headers["Idempotency-Key"]] = body
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=["console", "file", "mqtt", "webhook"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[Channel, Shown]]:
    """A channel, and a way to see what stands at its end."""
    async with AsyncExitStack() as stack:
        if request.param == "console":
            written: list[str] = []
            yield ConsoleChannel(written.append), lambda: written
        elif request.param == "file":
            folder = tmp_path / "posts"
            yield (
                FileChannel(folder),
                lambda: [path.read_text("utf-8") for path in sorted(folder.iterdir())],
            )
        elif request.param == "mqtt":
            broker = MemoryBroker()
            link = await stack.enter_async_context(MemoryTransport(broker))
            yield (
                MqttChannel(link.publish, "netwatch/v1/alerts"),
                lambda: [json.loads(kept.payload)["text"] for kept in broker.retained("#")],
            )
        else:
            server: Receiver = request.getfixturevalue("receiver")
            yield (
                WebhookChannel(server.url),
                lambda: [json.loads(body)["text"] for body in server.seen.values()],
            )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_contract_covers_every_channel_that_ships() -> None:
    ours = {"console", "file", "mqtt", "webhook"}
    assert ours <= set(plugin_names("channels"))
    assert all(load_plugin("channels", name).__module__.startswith("netwatch.") for name in ours)


async def test_a_post_is_shown(place: tuple[Channel, Shown], make_post: MakePost) -> None:
    channel, shown = place
    post = make_post(text="CONFIRMED · ایران\nline two \U0001f310")
    assert (await channel.deliver(post)).sent
    assert len(shown()) == 1
    assert post.text in shown()[0]


async def test_an_idempotent_channel_shows_a_post_once(
    place: tuple[Channel, Shown], make_post: MakePost
) -> None:
    channel, shown = place
    for _ in range(3):
        assert (await channel.deliver(make_post())).sent
    assert len(shown()) == (1 if channel.idempotent else 3)


async def test_its_name_is_its_entry_point(place: tuple[Channel, Shown]) -> None:
    channel, _ = place
    assert load_plugin("channels", channel.name) is type(channel)


async def test_a_file_written_again_has_the_same_bytes(tmp_path: Path, make_post: MakePost) -> None:
    channel, post = FileChannel(tmp_path), make_post()
    await channel.deliver(post)
    first = channel.path(post).read_bytes()
    channel.path(post).write_bytes(b"half a po")
    await channel.deliver(post)
    assert channel.path(post).read_bytes() == first
    assert _names(tmp_path) == [channel.path(post).name]
    assert post.alternative.encode() in first


async def test_a_file_never_leaves_its_folder(tmp_path: Path, make_post: MakePost) -> None:
    folder = tmp_path / "posts"
    channel = FileChannel(folder)
    assert (await channel.deliver(make_post(incident="../../etc/x", language="/e\x00n"))).sent
    assert len(_names(folder)) == 1
    assert _names(tmp_path) == ["posts"]


async def test_an_unwritable_folder_is_retryable(tmp_path: Path, make_post: MakePost) -> None:
    (tmp_path / "posts").write_text("a file is in the way")
    delivery = await FileChannel(tmp_path / "posts").deliver(make_post())
    assert (delivery.sent, delivery.retryable) == (False, True)
    assert "posts" in delivery.reason


async def test_a_closed_terminal_is_not_retryable(tmp_path: Path, make_post: MakePost) -> None:
    with (tmp_path / "terminal").open("w") as terminal:
        channel = ConsoleChannel(terminal.write)
    delivery = await channel.deliver(make_post())
    assert (delivery.sent, delivery.retryable) == (False, False)


async def test_an_unreachable_broker_is_retryable(make_post: MakePost) -> None:
    broker = MemoryBroker()
    async with MemoryTransport(broker) as link:
        broker.stop()
        delivery = await MqttChannel(link.publish, "alerts").deliver(make_post())
    assert (delivery.sent, delivery.retryable) == (False, True)


@pytest.mark.parametrize(
    ("status", "again"),
    [
        *((status, False) for status in (400, 401, 404, 410, 301)),
        *((status, True) for status in (408, 425, 429, 500, 502, 503)),
    ],
)
async def test_retryable_status_codes_of_a_webhook(
    receiver: Receiver, make_post: MakePost, status: int, *, again: bool
) -> None:
    receiver.answers = [(status, {"Location": receiver.url})]
    channel = WebhookChannel(receiver.url)
    delivery = await channel.deliver(make_post())
    assert (delivery.sent, delivery.retryable) == (False, again)
    assert str(status) in delivery.reason
    assert receiver.requests == 1, "a redirect is not followed"


@pytest.mark.parametrize(
    ("hint", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("999999999999999999999", None),
        ("86400", timedelta(hours=1)),
        ("-5", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", timedelta(0)),
        ("Fri, 31 Dec 2100 23:59:59 GMT", timedelta(hours=1)),
    ],
)
async def test_a_webhook_respects_retry_after(
    receiver: Receiver, make_post: MakePost, hint: str, wait: timedelta | None
) -> None:
    receiver.answers = [(429, {"Retry-After": hint})]
    assert (await WebhookChannel(receiver.url).deliver(make_post())).retry_after == wait


async def test_an_unreachable_webhook_is_retryable(receiver: Receiver, make_post: MakePost) -> None:
    receiver.server_close()
    delivery = await WebhookChannel(receiver.url, timeout=2).deliver(make_post())
    assert (delivery.sent, delivery.retryable) == (False, True)
    assert "127.0.0.1" not in delivery.reason


async def test_a_forged_tls_record_of_a_webhook_is_retryable(
    tmp_path: Path, make_post: MakePost, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    trusting = authority.trusting()
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    async with tcp_server(forge_tls_record, tls=authority.serving()) as port:
        delivery = await WebhookChannel(f"https://localhost:{port}/").deliver(make_post())
    assert (delivery.sent, delivery.retryable) == (False, True)
    assert delivery.reason == "webhook: SSLError"


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "nonsense", "http://[::1"])
async def test_a_webhook_with_an_invalid_url_is_not_retryable(
    url: str, make_post: MakePost
) -> None:
    delivery = await WebhookChannel(url).deliver(make_post())
    assert (delivery.sent, delivery.retryable) == (False, False)

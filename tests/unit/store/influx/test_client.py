"""The client against servers that are busy, broken, strict or not an InfluxDB."""

import gzip
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
from servers import free_port

from netwatch.model.errors import StoreError
from netwatch.store.influx.client import InfluxClient, RejectedError
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.versions import read_dialect

Judge = Callable[[list[str]], tuple[int, str]]


@dataclass
class Seen:
    """Requests to a fault server."""

    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)

    def lines(self) -> list[list[str]]:
        return [gzip.decompress(body).decode().split("\n") for body in self.bodies]


@contextmanager
def fault_server(version: str, judge: Judge, *, wait: str = "") -> Iterator[tuple[str, Seen]]:
    """Run a server of `version` that answers writes with what `judge` returns."""
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            if version:
                self.send_header("X-Influxdb-Version", version)
            if wait and status >= 300:
                self.send_header("Retry-After", wait)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            self.answer(204 if version else 404)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.bodies.append(body)
            seen.paths.append(self.path)
            seen.logins.append(self.headers.get("Authorization", ""))
            seen.agents.append(self.headers.get("User-Agent", "").split("/")[0])
            status, text = judge(gzip.decompress(body).decode().split("\n"))
            self.answer(status, text.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()


@contextmanager
def connected(url: str, *, retry_for: float = 10.0) -> Iterator[InfluxClient]:
    login = InfluxDsn(url, organization="obs", password="token")
    server = InfluxClient(login, retry_for=timedelta(seconds=retry_for))
    try:
        yield server
    finally:
        server.close()


def in_turn(*answers: tuple[int, str]) -> Judge:
    waiting = list(answers)
    return lambda _: waiting.pop(0) if waiting else (204, "")


VERSIONS = ["1.6.7", "1.8.10", "2.9.1", "3.11.2"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("trouble", [(503, "{}"), (429, "{}"), (500, '{"error":"timeout"}')])
def test_a_busy_server_gets_the_same_bytes_again(version: str, trouble: tuple[int, str]) -> None:
    with fault_server(version, in_turn(trouble, trouble)) as (url, seen), connected(url) as server:
        server.write(["a v=1 1", "a v=2 2"])
    assert len(seen.bodies) == 3
    assert len(set(seen.bodies)) == 1
    assert seen.lines()[0] == ["a v=1 1", "a v=2 2"]


@pytest.mark.parametrize(
    ("version", "path", "login", "agent"),
    [
        ("1.6.7", "/write?", "Basic bmV0d2F0Y2g6dG9rZW4=", "python-httpx"),
        ("1.8.10", "/api/v2/write?", "Token netwatch:token", "influxdb-client-python"),
        ("2.9.1", "/api/v2/write?", "Token token", "influxdb-client-python"),
        ("3.11.2", "/api/v2/write?", "Token token", "influxdb-client-python"),
    ],
)
def test_each_version_has_its_own_write_path(
    version: str, path: str, login: str, agent: str
) -> None:
    with fault_server(version, in_turn()) as (url, seen), connected(url) as server:
        server.write(["a v=1 1"])
    assert seen.paths[0].startswith(path)
    assert seen.logins == [login]
    assert seen.agents == [agent]
    parameters = dict(parse_qsl(urlsplit(seen.paths[0]).query))
    database = {"bucket": "netwatch", "org": "obs"} if "v2" in path else {"db": "netwatch"}
    assert parameters == {"precision": "ns", **database}


@pytest.mark.parametrize("version", ["1.8.10", "2.9.1", "3.11.2"])
def test_an_error_names_the_extra_that_is_not_installed(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "netwatch.store.influx.v2_writer", raising=False)
    monkeypatch.setitem(sys.modules, "influxdb_client", None)
    with (
        fault_server(version, in_turn()) as (url, seen),
        connected(url) as server,
        pytest.raises(StoreError, match=r"pip install 'netwatch-observatory\[influx\]'") as raised,
    ):
        server.write(["a v=1 1"])
    assert "\n" not in str(raised.value)
    assert seen.bodies == []


def test_version_1_6_is_written_to_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "netwatch.store.influx.v2_writer", raising=False)
    monkeypatch.setitem(sys.modules, "influxdb_client", None)
    with fault_server("1.6.7", in_turn()) as (url, seen), connected(url) as server:
        server.write(["a v=1 1"])
    assert seen.lines() == [["a v=1 1"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_writing_to_an_unreachable_server_is_a_clear_error(version: str) -> None:
    dsn = InfluxDsn(f"http://127.0.0.1:{free_port()}", organization="obs")
    dialect = read_dialect({"X-Influxdb-Version": version})
    client = InfluxClient(dsn, retry_for=timedelta(seconds=0.2), dialect=dialect)
    with pytest.raises(StoreError, match=f"{dsn.url} cannot be used, tried for 0.2 s") as raised:
        client.write(["a v=1 1"])
    assert "\n" not in str(raised.value)
    client.close()


def test_the_server_sets_the_retry_delay() -> None:
    with (
        fault_server("1.6.7", in_turn((429, "{}")), wait="1") as (url, seen),
        connected(url) as server,
    ):
        server.write(["a v=1 1"])
    assert len(seen.bodies) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_retries_end_with_a_clear_error(version: str) -> None:
    with (
        fault_server(version, lambda _: (503, '{"error":"starting up"}')) as (url, _),
        connected(url, retry_for=0.3) as server,
        pytest.raises(
            StoreError, match=r"cannot be used, tried for 0\.3 s: .*starting up"
        ) as raised,
    ):
        server.write(["a v=1 1"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, '{"error":"authorization failed"}'), "refuses the user 'netwatch': authorization"),
        ((403, '{"message":"forbidden"}'), "refuses the user 'netwatch': forbidden"),
        ((404, '{"message":"bucket not found"}'), "has no database 'netwatch'.*create it with: "),
        ((302, ""), "answered 302"),
    ],
)
def test_a_permanent_error_is_raised_at_once(
    version: str, answer: tuple[int, str], message: str
) -> None:
    with (
        fault_server(version, lambda _: answer) as (url, seen),
        connected(url) as server,
        pytest.raises(StoreError, match=message),
    ):
        server.write(["a v=1 1"])
    assert len(seen.bodies) == 1


def test_many_lines_are_sent_in_several_requests_in_order() -> None:
    lines = [f"a v=1 {number}" for number in range(12_001)]
    with fault_server("2.9.1", in_turn()) as (url, seen), connected(url) as server:
        server.write(lines)
    assert [len(part) for part in seen.lines()] == [5000, 5000, 2001]
    assert [line for part in seen.lines() for line in part] == lines


@pytest.mark.parametrize(("version", "status"), [("2.9.1", 422), ("2.9.1", 400), ("1.8.10", 400)])
def test_a_server_that_refuses_whole_requests_still_gets_every_good_line(
    version: str, status: int
) -> None:
    lines = [f"a v={'x' if number in {7, 2500} else 1} {number}" for number in range(3000)]
    stored_lines: set[str] = set()

    def judge(part: list[str]) -> tuple[int, str]:
        if any("v=x" in line for line in part):
            return status, '{"message":"unable to parse"}'
        stored_lines.update(part)
        return 204, ""

    with (
        fault_server(version, judge) as (url, _),
        connected(url) as server,
        pytest.raises(RejectedError) as raised,
    ):
        server.write(lines)
    assert stored_lines == {line for line in lines if "v=x" not in line}
    assert [text.split(": ")[0] for text in raised.value.messages] == ["a v=x 7", "a v=x 2500"]
    assert "unable to parse" in str(raised.value)


def test_a_request_that_is_too_large_is_halved() -> None:
    sizes: list[int] = []

    def judge(part: list[str]) -> tuple[int, str]:
        sizes.append(len(part))
        return (413, "too large") if len(part) > 100 else (204, "")

    with fault_server("3.11.2", judge) as (url, _), connected(url) as server:
        server.write([f"a v=1 {number}" for number in range(390)])
    assert sum(size for size in sizes if size <= 100) == 390


def test_searching_for_bad_lines_is_bounded() -> None:
    with (
        fault_server("2.9.1", lambda _: (400, "no")) as (url, seen),
        connected(url) as server,
        pytest.raises(StoreError, match="too many points to find them all"),
    ):
        server.write([f"a v=1 {number}" for number in range(5000)])
    assert len(seen.bodies) < 500


def test_many_bad_lines_are_counted_and_good_lines_stored() -> None:
    def judge(part: list[str]) -> tuple[int, str]:
        bad = sum("v=x" in line for line in part)
        return (400, f'{{"error":"partial write: no dropped={bad}"}}') if bad else (204, "")

    lines = [f"a v={'x' if number % 3 == 0 else 1} {number}" for number in range(5000)]
    with (
        fault_server("1.6.7", judge) as (url, seen),
        connected(url) as server,
        pytest.raises(RejectedError, match="1667 points not stored: a v=x 0: "),
    ):
        server.write(lines)
    assert len(seen.bodies) < 500


def test_points_that_are_all_dropped_are_not_searched_for() -> None:
    judge = in_turn((400, '{"error":"partial write: points beyond retention policy dropped=3"}'))
    with (
        fault_server("1.6.7", judge) as (url, seen),
        connected(url) as server,
        pytest.raises(RejectedError, match=r"3 points not stored: a v=1 0: .*retention policy"),
    ):
        server.write([f"a v=1 {number}" for number in range(3)])
    assert len(seen.bodies) == 1


def test_an_unreachable_server_is_a_clear_error() -> None:
    port = free_port()
    with (
        connected(f"http://127.0.0.1:{port}", retry_for=0.2) as server,
        pytest.raises(StoreError, match=f"http://127.0.0.1:{port} cannot be used"),
    ):
        server.query("SHOW DATABASES")


def test_another_kind_of_server_is_a_clear_error() -> None:
    with (
        fault_server("", in_turn()) as (url, _),
        connected(url) as server,
        pytest.raises(StoreError, match="has no /ping, so it is not an InfluxDB"),
    ):
        server.write(["a v=1 1"])

"""A proxy that gives a 1.6 server the write path, token and version of InfluxDB 2.

`influxdb-client` writes to it. Paths and parameters are those of InfluxData's reference; storage
and queries are the server's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
from msgspec.structs import replace

from netwatch.store.influx.dsn import InfluxDsn

__all__ = ["front_of_version_2"]

_ORGANIZATION = "observatory"


@contextmanager
def front_of_version_2(login: InfluxDsn) -> Iterator[InfluxDsn]:
    """Yield a DSN of the same database through a proxy that looks like InfluxDB 2."""
    behind = httpx.Client(
        base_url=login.url, auth=(login.username, login.password), trust_env=False
    )

    class Front(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536

        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("X-Influxdb-Version", "v2.9.1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            reply = behind.get(self.path)
            self.answer(reply.status_code, reply.content)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            parts = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if self.headers["Authorization"] != f"Token {login.password}":
                self.answer(401, b'{"code":"unauthorized","message":"unauthorized access"}')
            elif parts.path != "/api/v2/write" or asked.get("org") != _ORGANIZATION:
                self.answer(404, b'{"code":"not found","message":"organization not found"}')
            else:
                reply = behind.post(
                    "/write",
                    params={"db": asked["bucket"], "precision": asked["precision"]},
                    content=body,
                    headers={"Content-Encoding": self.headers["Content-Encoding"]},
                )
                self.answer(reply.status_code, reply.content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        yield replace(login, url=url, organization=_ORGANIZATION)
    finally:
        server.shutdown()
        thread.join(5)
        server.server_close()
        behind.close()

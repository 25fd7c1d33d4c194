"""Debian's InfluxDB on loopback, in a folder of its own, for a benchmark."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

__all__ = ["running_influxd"]

_SETTINGS = """
reporting-disabled = true
bind-address = "127.0.0.1:{other}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  query-log-enabled = false
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
  log-enabled = false
"""


@contextmanager
def running_influxd(folder: Path) -> Iterator[str | None]:
    """Give the address of a running server, None where `influxd` is not installed."""
    program = shutil.which("influxd")
    if program is None:
        yield None
        return
    port, other = _free_port(), _free_port()
    settings = folder / "influxdb.conf"
    settings.write_text(_SETTINGS.format(folder=folder, port=port, other=other))
    with (folder / "influxd.log").open("wb") as log:
        process = subprocess.Popen([program, "-config", settings], stdout=log, stderr=log)
        try:
            _prepare(f"http://127.0.0.1:{port}")
            yield f"http://bench:bench@127.0.0.1:{port}/netwatch"
        finally:
            process.kill()
            process.wait(10)


def _prepare(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        with suppress(httpx.TransportError):
            httpx.get(f"{url}/ping", trust_env=False)
            break
        if time.monotonic() > deadline:
            raise TimeoutError("influxd does not answer")
        time.sleep(0.1)
    login = ("bench", "bench")
    for statement in (
        "CREATE USER bench WITH PASSWORD 'bench' WITH ALL PRIVILEGES",
        "CREATE DATABASE netwatch",
    ):
        httpx.post(f"{url}/query", data={"q": statement}, auth=login, trust_env=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

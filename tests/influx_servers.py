"""Real InfluxDB servers for tests: Debian's, started here, and any that the environment names.

`NETWATCH_TEST_INFLUX_URL` names a server of any version; `NETWATCH_TEST_INFLUX_TOKEN` (the
password on 1.x), `NETWATCH_TEST_INFLUX_USER` and `NETWATCH_TEST_INFLUX_ORG` are its credentials.
Every test gets its own database, which is dropped afterwards.
"""

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from servers import free_port, need

from netwatch.store.influx.client import InfluxClient
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.store import InfluxStore
from netwatch.store.influx.versions import Dialect

__all__ = [
    "AS_CORE",
    "Influxd",
    "fresh_login",
    "named_login",
    "open_store",
    "shared_influxd",
    "victoria_metrics",
]

_NUMBERS = itertools.count(1)
_PATIENCE = timedelta(seconds=10)

# What 3 Core cannot do, asked of a server that could: nothing is overwritten, and one
# question covers 72 hours.
AS_CORE = Dialect(
    "1.6.7",
    takes_v2_writes=False,
    overwrites=False,
    longest_span=timedelta(hours=72),
    create="CREATE DATABASE {name}",
)


class Influxd:
    """Debian's influxd 1.6 on loopback with login, in a folder of its own."""

    def __init__(self, folder: Path, *, settings: str = "", tls: Path | None = None) -> None:
        self.folder = folder
        self._tls = tls
        if tls is not None:
            settings += f'  https-enabled = true\n  https-certificate = "{tls}"\n'
        self.port = free_port()
        self._program = need("influxd")
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = folder / "influxdb.conf"
        self._settings.write_text(
            f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{self.port}"
  auth-enabled = true
  log-enabled = false
{settings}
"""
        )

    @property
    def login(self) -> InfluxDsn:
        """The administrator, in no database."""
        scheme = "https" if self._tls else "http"
        return InfluxDsn(
            f"{scheme}://127.0.0.1:{self.port}",
            database="",
            password="a 'pass\" word",
            ca_file=str(self._tls or ""),
        )

    def _client(self) -> httpx.Client:
        trust = ssl.create_default_context(cafile=self._tls) if self._tls else True
        return httpx.Client(base_url=self.login.url, verify=trust, trust_env=False)

    def start(self) -> None:
        """Start, or start again on the same data."""
        with (self.folder / "influxd.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, "-config", self._settings], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 15
        while True:
            with contextlib.suppress(httpx.TransportError), self._client() as client:
                client.get("/ping")
                break
            assert self._process.poll() is None, "influxd ended by itself"
            assert time.monotonic() < deadline, "influxd does not answer"
            time.sleep(0.05)
        self.execute(
            f"CREATE USER {self.login.username} WITH PASSWORD 'a \\'pass\" word' "
            "WITH ALL PRIVILEGES"
        )

    def execute(self, statement: str) -> None:
        """Run a statement as administrator."""
        login = self.login
        with self._client() as client:
            answer = client.post(
                "/query", data={"q": statement}, auth=(login.username, login.password)
            )
        assert '"error"' not in answer.text, answer.text

    def kill(self) -> None:
        """End the server without any warning."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(10)
            self._process = None


@cache
def shared_influxd() -> Influxd:
    """Return one server for all tests of this process; it ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="netwatch-influx-"))
    server = Influxd(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.kill)
    server.start()
    return server


@contextmanager
def fresh_login() -> Iterator[InfluxDsn]:
    """Yield a login to an empty database on the shared server, dropped afterwards."""
    server = shared_influxd()
    login = replace(server.login, database=f"netwatch_{os.getpid()}_{next(_NUMBERS)}")
    server.execute(f'CREATE DATABASE "{login.database}"')
    try:
        yield login
    finally:
        server.execute(f'DROP DATABASE "{login.database}"')


@contextmanager
def named_login() -> Iterator[InfluxDsn]:
    """Yield a login to an empty database on the server that the environment names."""
    url = os.environ.get("NETWATCH_TEST_INFLUX_URL")
    if not url:
        pytest.skip("NETWATCH_TEST_INFLUX_URL names no server")
    login = InfluxDsn(
        url,
        database=f"netwatch_{os.getpid()}_{next(_NUMBERS)}",
        username=os.environ.get("NETWATCH_TEST_INFLUX_USER", "netwatch"),
        password=os.environ.get("NETWATCH_TEST_INFLUX_TOKEN", ""),
        organization=os.environ.get("NETWATCH_TEST_INFLUX_ORG", ""),
    )
    server = InfluxClient(login)
    version = server.dialect.version
    server.close()
    with _MAKERS[version[0]](login):
        yield login


def open_store(
    login: InfluxDsn, *, dialect: Dialect | None = None, page: int = 100_000
) -> InfluxStore:
    """Return a store in the database of `login`."""
    return InfluxStore(InfluxClient(login, retry_for=_PATIENCE, dialect=dialect), page=page)


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[str]:
    """Run Debian's VictoriaMetrics on loopback; yields its address."""
    port = free_port()
    program = need("victoria-metrics")
    with (folder / "victoria.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"-storageDataPath={folder / 'victoria'}",
                f"-httpListenAddr=127.0.0.1:{port}",
                "-retentionPeriod=100y",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 15
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if httpx.get(f"{url}/health", trust_env=False).status_code == 200:
                        break
                assert process.poll() is None, "victoria-metrics ended by itself"
                assert time.monotonic() < deadline, "victoria-metrics does not answer"
                time.sleep(0.05)
            yield url
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def _on_v1(login: InfluxDsn) -> Iterator[None]:
    account = (login.username, login.password)
    with httpx.Client(base_url=login.url, auth=account, trust_env=False) as client:

        def run(statement: str) -> None:
            client.post("/query", data={"q": statement}).raise_for_status()

        run(f'CREATE DATABASE "{login.database}"')
        try:
            yield
        finally:
            run(f'DROP DATABASE "{login.database}"')


@contextmanager
def _on_v2(login: InfluxDsn) -> Iterator[None]:
    headers = {"Authorization": f"Token {login.password}"}
    with httpx.Client(base_url=login.url, headers=headers, trust_env=False) as client:
        found = client.get("/api/v2/orgs", params={"org": login.organization}).raise_for_status()
        body = {"orgID": found.json()["orgs"][0]["id"], "name": login.database}
        made = client.post("/api/v2/buckets", json=body).raise_for_status()
        try:
            yield
        finally:
            client.delete(f"/api/v2/buckets/{made.json()['id']}").raise_for_status()


@contextmanager
def _on_core(login: InfluxDsn) -> Iterator[None]:
    headers, path = {"Authorization": f"Bearer {login.password}"}, "/api/v3/configure/database"
    with httpx.Client(base_url=login.url, headers=headers, trust_env=False) as client:
        client.post(path, json={"db": login.database}).raise_for_status()
        try:
            yield
        finally:
            client.delete(path, params={"db": login.database}).raise_for_status()


_MAKERS = {"1": _on_v1, "2": _on_v2, "3": _on_core}

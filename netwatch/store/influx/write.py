"""How bytes of line protocol reach a server: by `influxdb-client`, or by plain `/write`."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx
import msgspec
from influxdb_client import InfluxDBClient, WriteService
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from netwatch.model.errors import ConfigError
from netwatch.store.influx.dsn import InfluxDsn

_DROPPED = re.compile(r"dropped=(\d+)")
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said to one request.

    Attributes:
        status: HTTP status.
        text: its error in one line, empty for none.
        body: what it answered.
        headers: its headers, by names in lower case.
    """

    status: int
    text: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether the server did what it was asked."""
        return 200 <= self.status < 300

    @property
    def dropped(self) -> int:
        """Points of the request that it says it dropped; 0 where it does not say."""
        found = _DROPPED.search(self.text)
        return int(found[1]) if found else 0

    @property
    def wait(self) -> float | None:
        """Seconds that it asks us to wait; the form with a date is not worth reading."""
        told = self.headers.get("retry-after", "")
        return float(told) if told.isdigit() else None


class AgainError(Exception):
    """Raised inside the adapter when the same request may succeed later."""

    def __init__(self, text: str, *, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


class Writer(Protocol):
    """Takes one gzipped body of line protocol to the server."""

    def send(self, body: bytes) -> Reply:
        """Send `body` once.

        Raises:
            AgainError: the server was not reached, or did not answer in time.
        """

    def close(self) -> None:
        """Let go of connections."""


class HttpWriter:
    """`POST /write`, which every version has and 1.6 and 1.7 have alone."""

    def __init__(self, login: InfluxDsn) -> None:
        self._client = plain_client(login)
        self._parameters = {"db": login.database, "precision": "ns"}

    def send(self, body: bytes) -> Reply:
        """Send `body` once."""
        try:
            response = self._client.post(
                "/write",
                params=self._parameters,
                content=body,
                headers={"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"},
            )
        except httpx.TransportError as error:
            raise AgainError(f"{type(error).__name__}: {error}") from error
        return read_reply(response.status_code, response.content, response.headers)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


class ClientWriter:
    """`POST /api/v2/write` by `influxdb-client`: 1.8 and later, 2.x, 3 Core."""

    def __init__(self, login: InfluxDsn, *, token: str) -> None:
        self._client = InfluxDBClient(
            url=login.url.rstrip("/"),
            token=token,
            org=login.organization or "-",
            timeout=int(login.timeout * 1000),
            ssl_ca_cert=login.authority or None,
        )
        self._service = WriteService(self._client.api_client)
        self._login = login

    def send(self, body: bytes) -> Reply:
        """Send `body` once."""
        try:
            self._service.post_write(
                self._login.organization or "-",
                self._login.database,
                body,
                precision="ns",
                content_encoding="gzip",
                content_type="text/plain; charset=utf-8",
            )
        except ApiException as error:
            if not error.status:
                # The client's way to say that TLS did not come about.
                reason = " ".join(str(error.reason).split())
                raise AgainError(f"{type(error).__name__}: {reason}") from error
            content = error.body or b""
            raw = content.encode() if isinstance(content, str) else bytes(content)
            return read_reply(int(error.status), raw, dict(error.headers or {}))
        except (HTTPError, OSError) as error:
            raise AgainError(f"{type(error).__name__}: {error}") from error
        return Reply(status=204)

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()


def plain_client(login: InfluxDsn) -> httpx.Client:
    """Return an HTTP client that logs in at every request.

    Basic, with the token as password where there are tokens: the one form that all know.

    Raises:
        ConfigError: the file of certificates cannot be used.
    """
    return httpx.Client(
        base_url=login.url.rstrip("/"),
        auth=(login.username, login.password),
        timeout=login.timeout,
        verify=_trust(login.authority) if login.authority else True,
        trust_env=False,
    )


def _trust(authority: str) -> ssl.SSLContext:
    """Return what trusts the certificates in a file, and no others."""
    try:
        return ssl.create_default_context(cafile=authority)
    except OSError as error:
        reason = error.strerror or "no certificate in it"
        raise ConfigError(f"store.authority: {authority}: cannot be used: {reason}") from error


class _Words(msgspec.Struct):
    """Where the versions put their error text."""

    error: str = ""
    message: str = ""


def read_reply(status: int, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Return a reply with its error text in one line, of whatever version it is."""
    told = {name.lower(): value for name, value in headers.items()}
    if 200 <= status < 300:
        return Reply(status, body=body, headers=told)
    try:
        words = msgspec.json.decode(body, type=_Words)
        text = words.error or words.message
    except msgspec.DecodeError:
        text = ""
    text = " ".join((text or body.decode("utf-8", "replace")).split())
    return Reply(status, _shorten(text), body, told)


def _shorten(text: str) -> str:
    """Return the head of a long error, and its tail, where 1.x counts what it dropped."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 60]} … {text[-57:]}"

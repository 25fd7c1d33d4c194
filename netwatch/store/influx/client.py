"""HTTP client of one InfluxDB server: queries, writes, retries, and errors of one line."""

import gzip
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NoReturn

import httpx
import msgspec
import stamina

from netwatch.model.errors import ConfigError, InputError, StoreError
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.parse import ReplyTable, parse_answer
from netwatch.store.influx.versions import Dialect, read_dialect

_LINES_A_REQUEST = 5_000
"""Points in a write; the batch size that InfluxDB's documentation recommends."""
_GZIP_LEVEL = 1
"""Level 1 compresses 70 bytes a row to 11; higher levels cost more time than they save."""
_SEARCHES = 200
"""Requests that may be spent on isolating the bad lines of one batch."""
_LONGEST_WAIT = 60.0
"""Seconds to which a server's `Retry-After` is limited."""
_SHOWN_LINE, _SHOWN_ERROR = 160, 300
"""Characters of a line and of a server's error in messages."""
_DROPPED = re.compile(r"dropped=(\d+)")
_REJECTIONS = {400, 413, 422}
"""Statuses of a write that no retry can help."""


class RejectedError(InputError):
    """Raised when the server will never accept some points; all others are written."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)
        super().__init__(f"{len(self.messages)} points not stored: {self.messages[0]}")


class _RetryableError(Exception):
    """Raised when the same request may succeed later."""

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class _ErrorBody(msgspec.Struct):
    """An error as JSON: `error` in 1.x, `message` in 2.x and 3."""

    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """Reply to one request.

    Attributes:
        status: HTTP status.
        text: its error in one line, empty for none.
        body: its content.
        headers: its headers, by names in lower case.
    """

    status: int
    text: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, status: int, body: bytes, headers: Mapping[str, str]) -> "Reply":
        """Return a reply with the error text of any version."""
        lower = {name.lower(): value for name, value in headers.items()}
        if 200 <= status < 300:
            return cls(status, body=body, headers=lower)
        try:
            error = msgspec.json.decode(body, type=_ErrorBody)
            text = error.error or error.message
        except msgspec.DecodeError:
            text = ""
        text = " ".join((text or body.decode("utf-8", "replace")).split())
        if len(text) > _SHOWN_ERROR:
            # Version 1 appends how many points it dropped.
            text = f"{text[: _SHOWN_ERROR - 60]} … {text[-57:]}"
        return cls(status, text, body, lower)

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return 200 <= self.status < 300

    @property
    def rejected(self) -> bool:
        """Whether the server will not accept these bytes, however often it is asked."""
        return self.status in _REJECTIONS

    @property
    def dropped(self) -> int:
        """Points of the request that the server dropped; 0 if it does not say."""
        found = _DROPPED.search(self.text)
        return int(found[1]) if found else 0

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asks to wait; the form with a date is ignored."""
        text = self.headers.get("retry-after", "")
        return float(text) if text.isdigit() else None


class InfluxClient:
    """A connection to one database of one server.

    Args:
        dsn: address and credentials.
        retry_for: how long one request is retried while the server is away or busy.
        dialect: features of the server; None requests them when first needed.
    """

    def __init__(
        self,
        dsn: InfluxDsn,
        *,
        retry_for: timedelta = timedelta(seconds=30),
        dialect: Dialect | None = None,
    ) -> None:
        self.dsn = dsn
        self._retry_for = retry_for
        self._dialect = dialect
        # Basic with the token as password is the one login that all versions accept on /query.
        self._http = httpx.Client(
            base_url=dsn.url.rstrip("/"),
            auth=(dsn.username, dsn.password),
            timeout=dsn.timeout,
            verify=_ssl_context(dsn.ca_file) if dsn.ca_file else True,
            trust_env=False,
        )

    @property
    def dialect(self) -> Dialect:
        """Features of the server, requested once.

        Raises:
            StoreError: unreachable, or not an InfluxDB.
        """
        if self._dialect is None:
            reply = self._request(self._http.build_request("GET", "/ping"))
            if reply.status == 404:
                raise StoreError(f"{self.dsn.address} has no /ping, so it is not an InfluxDB")
            self._raise_for_status(reply)
            self._dialect = read_dialect(reply.headers)
        return self._dialect

    def query(self, statement: str, values: Mapping[str, str] | None = None) -> ReplyTable:
        """Return the result of an InfluxQL `statement` as one table.

        Args:
            statement: InfluxQL with `$name` in place of each text of `values`.
            values: texts by name; they are sent as parameters, never inside the statement.

        Raises:
            StoreError: unreachable, refused, or the statement is wrong.
        """
        # In chunks no server truncates a reply, whatever its limit of rows is.
        parameters = {"db": self.dsn.database, "epoch": "ns", "chunked": "true", "q": statement}
        if values:
            parameters["params"] = msgspec.json.encode(values).decode()
        reply = self._request(self._http.build_request("GET", "/query", params=parameters))
        self._raise_for_status(reply)
        table = parse_answer(reply.body)
        if "database not found" in table.error:
            self._raise_no_database()
        if table.error:
            raise StoreError(f"{self.dsn.address}: {table.error}")
        return table

    def write(self, lines: Sequence[str]) -> None:
        """Write `lines` of line protocol, in order, a few thousand a request.

        Raises:
            RejectedError: some lines can never be stored; all others are written.
            StoreError: the server cannot be reached or refused us; what was written so far
                stays, and writing all of it again changes nothing.
        """
        rejected: list[tuple[str, str]] = []
        for first in range(0, len(lines), _LINES_A_REQUEST):
            part = lines[first : first + _LINES_A_REQUEST]
            reply = self._send(part)
            if reply.rejected:
                rejected += self._isolate(part, reply)
        if rejected:
            address = self.dsn.address
            raise RejectedError(
                [f"{_shorten(line)}: {address} says {why}" for line, why in rejected]
            )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, lines: Sequence[str]) -> Reply:
        """Write one request; return its reply if it succeeded or was rejected."""
        reply = self._request(self._write_request("\n".join(lines).encode()))
        if not reply.rejected:
            self._raise_for_status(reply)
        return reply

    def _write_request(self, body: bytes) -> httpx.Request:
        """Return a write in the form of the server's version.

        Raises:
            StoreError: 2.x needs an organization and none is set.
        """
        dsn, dialect = self.dsn, self.dialect
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        parameters = {"precision": "ns"}
        if dialect.takes_v2_writes:
            if dialect.version.startswith("2.") and not dsn.organization:
                raise StoreError(f"{dsn.address} is InfluxDB 2, which needs an organization")
            is_1 = dialect.version.startswith("1.")
            token = f"{dsn.username}:{dsn.password}" if is_1 else dsn.password
            headers["Authorization"] = f"Token {token}"
            parameters |= {"org": dsn.organization or "-", "bucket": dsn.database}
        else:
            parameters["db"] = dsn.database
        return self._http.build_request(
            "POST",
            "/api/v2/write" if dialect.takes_v2_writes else "/write",
            params=parameters,
            content=gzip.compress(body, _GZIP_LEVEL, mtime=0),
            headers=headers,
        )

    def _isolate(self, lines: Sequence[str], reply: Reply) -> list[tuple[str, str]]:
        """Write the good ones among rejected `lines`; return the bad ones with their errors.

        Some versions store the good lines of a rejected request and some do not, and none
        names all bad ones. Halving finds them on any version, since writing twice is harmless.
        """
        bad: list[tuple[str, str]] = []
        waiting = [(lines, reply)]
        searches = 0
        while waiting:
            part, answer = waiting.pop()
            if not answer.rejected:
                continue
            if len(part) == 1 or answer.dropped == len(part):
                bad += [(line, answer.text) for line in part]
                continue
            searches += 1
            if searches > _SEARCHES and "partial write" in answer.text:
                # The good ones are stored; only the names of the others stay unknown.
                bad += [(part[0], answer.text)] * max(answer.dropped, 1)
                continue
            if searches > _SEARCHES:
                raise StoreError(
                    f"{self.dsn.address} rejects too many points to find them all, at least "
                    f"{len(bad)} of {len(lines)}: {reply.text}"
                )
            middle = len(part) // 2
            halves = [(half, self._send(half)) for half in (part[:middle], part[middle:])]
            waiting += reversed(halves)
        return bad

    def _request(self, request: httpx.Request) -> Reply:
        """Return the reply to `request`, retried while the server is away or busy.

        Raises:
            StoreError: it was so to the end.
        """
        try:
            for attempt in stamina.retry_context(
                on=_retry_delay, attempts=None, timeout=self._retry_for, wait_jitter=0.2
            ):
                with attempt:
                    return self._try(request)
        except _RetryableError as error:
            seconds = self._retry_for.total_seconds()
            raise StoreError(
                f"{self.dsn.address} cannot be used, tried for {seconds:g} s: {error}"
            ) from error
        raise AssertionError("a retry ends with a return or an error")

    def _try(self, request: httpx.Request) -> Reply:
        has_token = "Authorization" in request.headers
        try:
            response = self._http.send(
                request, auth=None if has_token else httpx.USE_CLIENT_DEFAULT
            )
        except httpx.TransportError as error:
            raise _RetryableError(f"{type(error).__name__}: {error}") from error
        reply = Reply.parse(response.status_code, response.content, response.headers)
        if reply.status == 429 or reply.status >= 500:
            text = f"status {reply.status}: {reply.text}"
            raise _RetryableError(text, retry_after=reply.retry_after)
        return reply

    def _raise_for_status(self, reply: Reply) -> None:
        if reply.ok:
            return
        address, text = self.dsn.address, reply.text or f"status {reply.status}"
        if reply.status in {401, 403}:
            raise StoreError(f"{address} refuses the user {self.dsn.username!r}: {text}")
        if reply.status == 404:
            self._raise_no_database(text)
        raise StoreError(f"{address} answered {reply.status}: {text}")

    def _raise_no_database(self, text: str = "database not found") -> NoReturn:
        name = self.dsn.database
        command = self.dialect.create.format(name=name)
        raise StoreError(
            f"{self.dsn.address} has no database {name!r} ({text}); create it with: {command}"
        )


def _ssl_context(ca_file: str) -> ssl.SSLContext:
    """Return a context that trusts the certificates in a file, and no others."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        reason = error.strerror or "it has no certificate"
        raise ConfigError(f"ca_file: {ca_file}: cannot be used: {reason}") from error


def _retry_delay(error: Exception) -> bool | float:
    """Return whether stamina retries, or the seconds that the server asks to wait."""
    if not isinstance(error, _RetryableError):
        return False
    return True if error.retry_after is None else min(error.retry_after, _LONGEST_WAIT)


def _shorten(line: str) -> str:
    return line if len(line) <= _SHOWN_LINE else f"{line[:_SHOWN_LINE]}…"

"""HTTP client of one InfluxDB server: queries, writes, retries, and errors of one line."""

import gzip
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import httpx
import msgspec
import stamina

from netwatch.model.errors import ConfigError, InputError, StoreError
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.parse import ReplyTable, parse_answer
from netwatch.store.influx.reply import Reply, RetryableError
from netwatch.store.influx.versions import Dialect, read_dialect

if TYPE_CHECKING:
    from netwatch.store.influx.v2_writer import V2Writer

REQUEST_TIMEOUT = 20.0
"""Seconds that the server may take to answer one request."""
_LINES_A_REQUEST = 5_000
"""Points in a write; the batch size that InfluxDB's documentation recommends."""
_GZIP_LEVEL = 1
"""Level 1 compresses 70 bytes a row to 11; higher levels cost more time than they save."""
_SEARCHES = 200
"""Requests that may be spent on isolating the bad lines of one batch."""
_LONGEST_WAIT = 60.0
"""Seconds to which a server's `Retry-After` is limited."""
_SHOWN_LINE = 160
"""Characters of a line in messages."""


class RejectedError(InputError):
    """Raised when the server will never accept some points; all others are written."""

    def __init__(self, messages: Sequence[str]) -> None:
        self.messages = list(messages)
        super().__init__(f"{len(self.messages)} points not stored: {self.messages[0]}")


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
        self._v2_writer: V2Writer | None = None
        # Basic with the token as password is the one login that all versions accept on /query.
        self._http = httpx.Client(
            base_url=dsn.url.rstrip("/"),
            auth=(dsn.username, dsn.password),
            timeout=REQUEST_TIMEOUT,
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
            reply = self._request(partial(self._call, "GET", "/ping"))
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
        reply = self._request(partial(self._call, "GET", "/query", parameters))
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
        if self._v2_writer is not None:
            self._v2_writer.close()

    def _send(self, lines: Sequence[str]) -> Reply:
        """Write one request; return its reply if it succeeded or was rejected."""
        body = gzip.compress("\n".join(lines).encode(), _GZIP_LEVEL, mtime=0)
        if self.dialect.takes_v2_writes:
            write = partial(self._open_v2_writer().write, body)
        else:
            parameters = {"db": self.dsn.database, "precision": "ns"}
            write = partial(self._call, "POST", "/write", parameters, body)
        reply = self._request(write)
        if not reply.rejected:
            self._raise_for_status(reply)
        return reply

    def _open_v2_writer(self) -> "V2Writer":
        if self._v2_writer is None:
            try:
                from netwatch.store.influx.v2_writer import V2Writer  # noqa: PLC0415 - an extra
            except ModuleNotFoundError as error:
                raise StoreError(
                    f"writing to InfluxDB {self.dialect.version} needs {error.name}: "
                    "pip install 'netwatch-observatory[influx]'"
                ) from error
            self._v2_writer = V2Writer(self.dsn, self.dialect)
        return self._v2_writer

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

    def _request(self, send: Callable[[], Reply]) -> Reply:
        """Return the reply that `send` returns, retried while the server is away or busy.

        Raises:
            StoreError: it was so to the end.
        """
        try:
            for attempt in stamina.retry_context(
                on=_retry_delay, attempts=None, timeout=self._retry_for, wait_jitter=0.2
            ):
                with attempt:
                    reply = send()
                    reply.raise_if_busy()
                    return reply
        except RetryableError as error:
            seconds = self._retry_for.total_seconds()
            raise StoreError(
                f"{self.dsn.address} cannot be used, tried for {seconds:g} s: {error}"
            ) from error
        raise AssertionError("a retry ends with a return or an error")

    def _call(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """Send one request; `body` is gzipped line protocol."""
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        try:
            response = self._http.request(
                method, path, params=parameters, content=body, headers=headers if body else None
            )
        except httpx.TransportError as error:
            raise RetryableError(f"{type(error).__name__}: {error}") from error
        return Reply.parse(response.status_code, response.content, response.headers)

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
    if not isinstance(error, RetryableError):
        return False
    return True if error.retry_after is None else min(error.retry_after, _LONGEST_WAIT)


def _shorten(line: str) -> str:
    return line if len(line) <= _SHOWN_LINE else f"{line[:_SHOWN_LINE]}…"

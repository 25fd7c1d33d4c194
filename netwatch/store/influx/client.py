"""One InfluxDB server: asks and writes, waits patiently, and says plainly what is wrong."""

import gzip
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import NoReturn

import httpx
import msgspec
import stamina

from netwatch.model.errors import InputError, StoreError
from netwatch.store.influx.dsn import InfluxDsn
from netwatch.store.influx.parse import ReplyTable, parse_answer
from netwatch.store.influx.versions import Dialect, read_dialect
from netwatch.store.influx.write import (
    AgainError,
    ClientWriter,
    HttpWriter,
    Reply,
    Writer,
    plain_client,
    read_reply,
)

_LINES_A_REQUEST = 5_000
# Level 1 takes 70 bytes a row down to 11; higher levels cost more than they save.
_GZIP_LEVEL = 1
# Requests that may go into finding which lines of one batch are bad.
_SEARCHES = 200
_LONGEST_WAIT = 60.0
_SHOWN_LINE = 160


class RefusedError(InputError):
    """Raised when the server will never take some points; everything else is in."""

    def __init__(self, complaints: Sequence[str]) -> None:
        self.complaints = list(complaints)
        super().__init__(f"{len(self.complaints)} points not stored: {self.complaints[0]}")


class InfluxServer:
    """A connection to one database of one server.

    Args:
        login: where it is and who we are.
        patience: how long one request is tried again while the server is away or busy.
        dialect: what the server can do; None asks it when it is first needed.
    """

    def __init__(
        self,
        login: InfluxDsn,
        *,
        patience: timedelta = timedelta(seconds=30),
        dialect: Dialect | None = None,
    ) -> None:
        self.login = login
        self._patience = patience
        self._dialect = dialect
        self._client = plain_client(login)
        self._carrier: Writer | None = None

    @property
    def dialect(self) -> Dialect:
        """What the server can do, asked once.

        Raises:
            StoreError: unreachable, or no InfluxDB.
        """
        if self._dialect is None:
            reply = self._request("GET", "/ping")
            if reply.status == 404:
                raise StoreError(f"{self.login.place} has no /ping, so it is no InfluxDB")
            self._judge(reply)
            self._dialect = read_dialect(reply.headers)
        return self._dialect

    def query(self, statement: str, values: Mapping[str, str] | None = None) -> ReplyTable:
        """Return what an InfluxQL `statement` gives, as one table.

        Args:
            statement: InfluxQL with `$name` where a text of `values` belongs.
            values: texts by name; they are sent beside the statement, never inside it.

        Raises:
            StoreError: unreachable, refused, or the statement is wrong.
        """
        # In chunks no server cuts an answer short, whatever its limit of rows is.
        parameters = {"db": self.login.database, "epoch": "ns", "chunked": "true", "q": statement}
        if values:
            parameters["params"] = msgspec.json.encode(values).decode()
        reply = self._request("GET", "/query", params=parameters)
        self._judge(reply)
        table = parse_answer(reply.body)
        if "database not found" in table.error:
            self._no_database()
        if table.error:
            raise StoreError(f"{self.login.place}: {table.error}")
        return table

    def write(self, lines: Sequence[str]) -> None:
        """Write `lines` of line protocol, in order, a few thousand a request.

        Raises:
            RefusedError: some lines can never be stored; all others are in.
            StoreError: the server could not be reached or did not let us; what was
                written so far stays, and writing all of it again changes nothing.
        """
        refused: list[tuple[str, str]] = []
        for first in range(0, len(lines), _LINES_A_REQUEST):
            part = lines[first : first + _LINES_A_REQUEST]
            reply = self._send(part)
            if _is_refusal(reply):
                refused += self._sift(part, reply)
        if refused:
            place = self.login.place
            raise RefusedError([f"{_shown(line)}: {place} says {why}" for line, why in refused])

    def create_database(self) -> None:
        """Create the database on a 1.x server, where our user may.

        Raises:
            StoreError: not allowed, unreachable, or of another version; the text names
                the command that does it there.
        """
        if not self.dialect.version.startswith("1."):
            self._no_database()
        name = self.login.database.replace("\\", "\\\\").replace('"', '\\"')
        form = {"q": f'CREATE DATABASE "{name}"'}
        reply = self._request("POST", "/query", data=form)
        self._judge(reply)
        error = parse_answer(reply.body).error
        if error:
            raise StoreError(f"{self.login.place}: {error}")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()
        if self._carrier is not None:
            self._carrier.close()

    def _send(self, lines: Sequence[str]) -> Reply:
        """Write one request; a refusal comes back, everything else that is wrong raises."""
        body = gzip.compress("\n".join(lines).encode(), _GZIP_LEVEL, mtime=0)
        carrier = self._carrier_for(self.dialect)
        reply = self._patiently(lambda: carrier.send(body))
        if not _is_refusal(reply):
            self._judge(reply)
        return reply

    def _sift(self, lines: Sequence[str], reply: Reply) -> list[tuple[str, str]]:
        """Write the good ones among `lines`; return the bad ones, each with its reason.

        Some versions keep the good lines of a refused request and some do not, and none
        names all the bad ones; halving finds them on any, since writing twice is harmless.
        """
        bad: list[tuple[str, str]] = []
        waiting = [(lines, reply)]
        searches = 0
        while waiting:
            part, answer = waiting.pop()
            if not _is_refusal(answer):
                continue
            if len(part) == 1 or answer.dropped == len(part):
                bad += [(line, answer.text) for line in part]
                continue
            searches += 1
            if searches > _SEARCHES and "partial write" in answer.text:
                # The good ones are in; only the names of the others are left unsaid.
                bad += [(part[0], answer.text)] * max(answer.dropped, 1)
                continue
            if searches > _SEARCHES:
                raise StoreError(
                    f"{self.login.place} refuses more points than can be told apart, at least "
                    f"{len(bad)} of {len(lines)}: {reply.text}"
                )
            middle = len(part) // 2
            halves = [(half, self._send(half)) for half in (part[:middle], part[middle:])]
            waiting += reversed(halves)
        return bad

    def _carrier_for(self, dialect: Dialect) -> Writer:
        """Return what takes our bytes to a server of this dialect."""
        if self._carrier is None:
            self._carrier = make_writer(self.login, dialect)
        return self._carrier

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request on the plain client, and again while that may help."""

        def send() -> Reply:
            try:
                response = self._client.request(method, path, params=params, data=data)
            except httpx.TransportError as error:
                raise AgainError(f"{type(error).__name__}: {error}") from error
            return read_reply(response.status_code, response.content, response.headers)

        return self._patiently(send)

    def _patiently(self, send: Callable[[], Reply]) -> Reply:
        """Return the reply of `send`, tried again while the server is away or busy.

        Raises:
            StoreError: it was so to the end.
        """
        try:
            for attempt in stamina.retry_context(
                on=_pause, attempts=None, timeout=self._patience, wait_jitter=0.2
            ):
                with attempt:
                    return _busy_raises(send())
        except AgainError as error:
            seconds = self._patience.total_seconds()
            raise StoreError(
                f"{self.login.place} cannot be used, tried for {seconds:g} s: {error}"
            ) from error
        raise AssertionError("a retry ends with a return or an error")

    def _judge(self, reply: Reply) -> None:
        """Raise what an unsuccessful `reply` means."""
        place, told = self.login.place, reply.text or f"status {reply.status}"
        if reply.done:
            return
        if reply.status in {401, 403}:
            raise StoreError(f"{place} does not let {self.login.username!r} in: {told}")
        if reply.status == 404:
            self._no_database(told)
        raise StoreError(f"{place} answered {reply.status}: {told}")

    def _no_database(self, told: str = "database not found") -> NoReturn:
        """Raise that the database is missing, with the command that makes one."""
        name = self.login.database
        command = self.dialect.create.format(name=name)
        raise StoreError(
            f"{self.login.place} has no database {name!r} ({told}); create it with: {command}"
        )


def make_writer(login: InfluxDsn, dialect: Dialect) -> Writer:
    """Return what takes bytes to a server of this dialect.

    Raises:
        StoreError: 2.x needs an organization and none is set.
    """
    if not dialect.takes_v2_writes:
        return HttpWriter(login)
    if dialect.version.startswith("1."):
        return ClientWriter(login, token=f"{login.username}:{login.password}")
    if dialect.version.startswith("2.") and not login.organization:
        raise StoreError(f"{login.place} is InfluxDB 2, which needs store.organization")
    return ClientWriter(login, token=login.password)


def _busy_raises(reply: Reply) -> Reply:
    """Return `reply` unless it says that the server is busy or broken for the moment."""
    if reply.status == 429 or reply.status >= 500:
        raise AgainError(f"status {reply.status}: {reply.text}", wait=reply.wait)
    return reply


def _pause(error: Exception) -> bool | float:
    """Tell stamina whether to try again, and for how long to wait where the server says."""
    if not isinstance(error, AgainError):
        return False
    return True if error.wait is None else min(error.wait, _LONGEST_WAIT)


def _is_refusal(reply: Reply) -> bool:
    """Return whether the server will not take these bytes, however often it is asked."""
    return reply.status in {400, 413, 422}


def _shown(line: str) -> str:
    """Return the head of a line for a message."""
    return line if len(line) <= _SHOWN_LINE else f"{line[:_SHOWN_LINE]}…"

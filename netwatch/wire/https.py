"""A link over HTTPS, for where MQTT does not get through: each batch is a POST of its own.

The answer to a batch is its signed acknowledgement, which arrives as if a broker had brought
it. What the collector would retain is asked for on connecting. There is no last will: while
connected we repeat now and then that we are there, and our silence tells when we are not.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from time import monotonic
from types import TracebackType
from typing import Self

from netwatch.model.errors import TransportError
from netwatch.protocols import Message
from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES
from netwatch.wire.lean_http import httpx
from netwatch.wire.topics import (
    RATE_ADVICE_TOPIC,
    ack_topic,
    batch_topic,
    presence_topic,
    topic_matches,
)

BATCHES_PATH = "/v1/batches"
PRESENCE_PATH = "/v1/presence"
RATE_ADVICE_PATH = "/v1/drain"
AGENT_HEADER = "Netwatch-Agent"
MEDIA_TYPE = "application/octet-stream"
"""What an observatory's own answers are; a portal's are something else."""
_OK, _LATER, _NOTHING = 200, 202, 204
_BUSY = (429, 503)
_LONGEST_WAIT = 30.0
# It would tell of each request.
logging.getLogger("httpx").setLevel(logging.WARNING)


class HttpsTransport:
    """A way to the observatory's HTTP service; see `netwatch.protocols.Transport`.

    Unlike a broker's, a message reached the collector itself once `publish` returns.

    Args:
        url: root of the service, such as `https://observatory.example`.
        agent: our id.
        tls: whom TLS trusts; True is the system's authorities.
        timeout: seconds for each question and its answer.
        keepalive: seconds between two signs of life.
    """

    def __init__(
        self,
        url: str,
        agent: str,
        *,
        tls: bool | ssl.SSLContext = True,
        timeout: float = 15.0,
        keepalive: float = 30.0,
    ) -> None:
        self._url, self._agent = url.rstrip("/"), agent
        self._tls, self._timeout, self._keepalive = tls, timeout, keepalive
        self._paths = {
            batch_topic(agent): BATCHES_PATH,
            presence_topic(agent): PRESENCE_PATH,
        }
        self._client: httpx.AsyncClient | None = None
        self._patterns: list[str] = []
        self._drain: Message | None = None
        self._presence: bytes | None = None
        self._arrived: asyncio.Queue[Message | None] = asyncio.Queue()
        self._not_before = 0.0

    async def __aenter__(self) -> Self:
        """Ask how fast we may send, which also shows whether the observatory answers."""
        self._client = await asyncio.to_thread(self._make_client)
        try:
            status, body = await self._ask("GET", RATE_ADVICE_PATH)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        if status == _OK:
            self._drain = Message(RATE_ADVICE_TOPIC, body, retained=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        client, self._client = self._client, None
        self._arrived.put_nowait(None)
        if client is not None:
            await client.aclose()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Post a batch, or what is said about our presence; what comes back arrives as usual.

        A service that is busy is left alone for as long as it asks, at most half a minute.
        """
        path = self._paths.get(topic)
        if path is None:
            raise TransportError(f"{self._url} takes no messages for {topic[:80]}")
        if retain:
            self._presence = payload
        await asyncio.sleep(max(self._not_before - monotonic(), 0))
        status, body = await self._ask("POST", path, payload)
        if status == _OK and path == BATCHES_PATH:
            self._arrived.put_nowait(Message(ack_topic(self._agent), body))

    async def subscribe(self, pattern: str) -> None:
        """Take up `pattern`; only acknowledgements and the drain ever come this way."""
        self._open()
        self._patterns.append(pattern)
        if self._drain is not None and topic_matches(pattern, RATE_ADVICE_TOPIC):
            self._arrived.put_nowait(self._drain)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what was answered; repeat our presence while nothing is said."""
        spoken = monotonic()
        while True:
            self._open()
            try:
                wait = max(spoken + self._keepalive - monotonic(), 0)
                message = await asyncio.wait_for(self._arrived.get(), wait)
            except TimeoutError:
                spoken = monotonic()
                if self._presence is not None:
                    await self._ask("POST", PRESENCE_PATH, self._presence)
                continue
            if message is None:
                raise TransportError(f"the link to {self._url} is closed")
            if any(topic_matches(pattern, message.topic) for pattern in self._patterns):
                yield message

    def _make_client(self) -> httpx.AsyncClient:
        """Build the client; reading the system's authorities takes a while."""
        return httpx.AsyncClient(
            base_url=self._url,
            verify=self._tls,
            trust_env=False,
            timeout=self._timeout,
            headers={
                AGENT_HEADER: self._agent,
                "Content-Type": MEDIA_TYPE,
                # What unpacks to more than it weighs, we do not ask for.
                "Accept-Encoding": "identity",
            },
            limits=httpx.Limits(max_connections=2, keepalive_expiry=2 * self._keepalive),
        )

    def _open(self) -> httpx.AsyncClient:
        """Return the client, or raise LinkError where there is none."""
        if self._client is None:
            raise TransportError(f"not connected to {self._url}")
        return self._client

    async def _ask(self, method: str, path: str, content: bytes | None = None) -> tuple[int, bytes]:
        """Return status and body of an answer that is the observatory's own.

        Raises:
            LinkError: nobody answers in time, or somebody else does, or he says no.
        """
        client = self._open()
        body = bytearray()
        with self._translated():
            async with (
                asyncio.timeout(self._timeout),
                client.stream(method, path, content=content) as response,
            ):
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > MAX_MESSAGE_BYTES:
                        raise TransportError(
                            f"{self._url} answers more than {MAX_MESSAGE_BYTES} bytes"
                        )
        status = response.status_code
        if status in _BUSY:
            self._not_before = monotonic() + _seconds(response.headers.get("Retry-After", ""))
            return status, b""
        ours = response.headers.get("Content-Type", "").startswith(MEDIA_TYPE)
        if status not in {_OK, _LATER, _NOTHING} or (status == _OK and not ours):
            raise TransportError(f"{self._url}{path} is refused: HTTP {status}")
        return status, bytes(body)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what httpx and the socket raise into one LinkError."""
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise TransportError(f"cannot reach {self._url}: {reason}") from error


def _seconds(text: str) -> float:
    """Return how long `Retry-After` asks us to wait, within reason."""
    return min(float(text), _LONGEST_WAIT) if text.isdecimal() else 1.0

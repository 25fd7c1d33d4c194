"""A transport over HTTPS, for networks that block MQTT: each batch is one POST.

The response to a batch is its signed acknowledgement, delivered like a message of a broker. Rate
advice is requested on connecting. HTTP has no will: presence is repeated while connected, and
the collector takes silence for a lost agent.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from time import monotonic
from typing import Self

from netwatch.model.errors import TransportError, one_line
from netwatch.protocols import Message
from netwatch.wire._light_imports import httpx
from netwatch.wire.signing import MAX_MESSAGE_BYTES
from netwatch.wire.topics import (
    RATE_ADVICE_TOPIC,
    ack_topic,
    batch_topic,
    presence_topic,
    topic_matches,
)

BATCHES_PATH = "/v1/batches"
PRESENCE_PATH = "/v1/presence"
RATE_ADVICE_PATH = "/v1/rate-advice"
AGENT_HEADER = "Netwatch-Agent"
MEDIA_TYPE = "application/octet-stream"
"""The content type of an observatory's responses; a captive portal's is another."""
_SLOWEST_LINE = 1_500
"""Bytes per second that a line carries at least; the observatory waits as long for a body."""
_OK, _ACCEPTED, _NO_CONTENT = 200, 202, 204
_BUSY = (429, 503)
_DEFAULT_RETRY_AFTER, _MAX_RETRY_AFTER = 1.0, 30.0
"""Seconds to wait for a busy service that does not say how long, and at most."""
logging.getLogger("httpx").setLevel(logging.WARNING)  # else it logs every request


class HttpsTransport:
    """A connection to the observatory's HTTP service; see `netwatch.protocols.Transport`.

    Once `publish` returns, the message reached the collector itself.

    Args:
        url: root of the service, such as `https://observatory.example`.
        agent: the agent's id.
        tls: the TLS settings; True trusts the system's authorities.
        timeout: seconds for each request and its response, without the time to send a body.
        keepalive: seconds between two presence messages.
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
        self._paths = {batch_topic(agent): BATCHES_PATH, presence_topic(agent): PRESENCE_PATH}
        self._client: httpx.AsyncClient | None = None
        self._patterns: list[str] = []
        self._rate_advice: Message | None = None
        self._presence: bytes | None = None
        self._received: asyncio.Queue[Message | None] = asyncio.Queue()
        self._busy_until = 0.0

    async def __aenter__(self) -> Self:
        """Request the rate advice, which also shows whether the observatory responds."""
        self._client = await asyncio.to_thread(self._make_client)
        try:
            status, body = await self._request("GET", RATE_ADVICE_PATH)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        if status == _OK:
            self._rate_advice = Message(RATE_ADVICE_TOPIC, body, retained=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        client, self._client = self._client, None
        self._received.put_nowait(None)
        if client is not None:
            await client.aclose()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Post a batch or a presence message; a busy service's `Retry-After` is respected."""
        path = self._paths.get(topic)
        if path is None:
            raise TransportError(f"{self._url} accepts no messages for {topic[:80]}")
        if retain:
            self._presence = payload
        await asyncio.sleep(max(self._busy_until - monotonic(), 0))
        status, body = await self._request("POST", path, payload)
        if status == _OK and path == BATCHES_PATH:
            self._received.put_nowait(Message(ack_topic(self._agent), body))

    async def subscribe(self, pattern: str) -> None:
        """Subscribe to `pattern`; only acknowledgements and rate advice ever arrive."""
        self._connected()
        self._patterns.append(pattern)
        if self._rate_advice is not None and topic_matches(pattern, RATE_ADVICE_TOPIC):
            self._received.put_nowait(self._rate_advice)

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what the service sends; repeat the presence every `keepalive` seconds."""
        sent_at = monotonic()
        while True:
            self._connected()
            try:
                wait = max(sent_at + self._keepalive - monotonic(), 0)
                message = await asyncio.wait_for(self._received.get(), wait)
            except TimeoutError:
                sent_at = monotonic()
                if self._presence is not None:
                    await self._request("POST", PRESENCE_PATH, self._presence)
                continue
            if message is None:
                raise TransportError(f"the connection to {self._url} is closed")
            if any(topic_matches(pattern, message.topic) for pattern in self._patterns):
                yield message

    def _make_client(self) -> httpx.AsyncClient:
        """Build the client; blocks while it reads the system's authorities."""
        return httpx.AsyncClient(
            base_url=self._url,
            verify=self._tls,
            trust_env=False,
            headers={
                AGENT_HEADER: self._agent,
                "Content-Type": MEDIA_TYPE,
                "Accept-Encoding": "identity",  # no decompression bombs
            },
            limits=httpx.Limits(max_connections=2, keepalive_expiry=2 * self._keepalive),
        )

    def _connected(self) -> httpx.AsyncClient:
        if self._client is None:
            raise TransportError(f"not connected to {self._url}")
        return self._client

    async def _request(
        self, method: str, path: str, content: bytes | None = None
    ) -> tuple[int, bytes]:
        """Return status and body of the observatory's response.

        Raises:
            TransportError: no response in time, a refusal, or the response of another party.
        """
        client = self._connected()
        seconds = self._timeout + len(content or b"") / _SLOWEST_LINE
        try:
            async with (
                asyncio.timeout(seconds),
                client.stream(method, path, content=content, timeout=seconds) as response,
            ):
                body = await read_body(response, limit=MAX_MESSAGE_BYTES, sender=self._url)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            raise TransportError(f"cannot reach {self._url}: {one_line(error)}") from error
        status = response.status_code
        if status in _BUSY:
            self._busy_until = monotonic() + _retry_after(response)
            return status, b""
        is_ours = response.headers.get("Content-Type", "").startswith(MEDIA_TYPE)
        if status not in {_OK, _ACCEPTED, _NO_CONTENT} or (status == _OK and not is_ours):
            raise TransportError(f"{self._url}{path} is refused: HTTP {status}")
        return status, body


async def read_body(response: httpx.Response, *, limit: int, sender: str) -> bytes:
    """Return the body as it was sent; raises TransportError if it is longer than `limit` bytes."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > limit:
            raise TransportError(f"{sender} sends more than {limit} bytes")
    return bytes(body)


def _retry_after(response: httpx.Response) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), _MAX_RETRY_AFTER) if text.isdecimal() else _DEFAULT_RETRY_AFTER

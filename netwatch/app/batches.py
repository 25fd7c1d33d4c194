"""The doors through which agents bring batches where MQTT does not get through.

Nothing is kept of a caller but what he signed: no address is read, stored or logged, and the
limit on his rate hangs on his key. What comes is handed to the collector in this process.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from netwatch.aio.token_bucket import TokenBucket
from netwatch.app.bodies import read_body
from netwatch.collector.ingest_queue import IngestQueue
from netwatch.model.errors import InputError, TransportError
from netwatch.protocols import Message
from netwatch.wire.batch_codec import MAX_MESSAGE_BYTES
from netwatch.wire.https import (
    AGENT_HEADER,
    BATCHES_PATH,
    MEDIA_TYPE,
    PRESENCE_PATH,
    RATE_ADVICE_PATH,
)
from netwatch.wire.signing import BATCH, PRESENCE, open_signed
from netwatch.wire.topics import batch_topic, is_agent_id, presence_topic

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_LARGEST_PRESENCE = 1024
_ANSWER_WITHIN = 10.0
_RATE, _BURST = 32.0, 64.0
_MOST_KEYS = 10_000


class RequestRateLimit:
    """A bucket a key: `burst` at once, then `rate` a second; the longest unseen is forgotten."""

    def __init__(self, *, rate: float = _RATE, burst: float = _BURST) -> None:
        self._rate, self._burst = rate, burst
        self._buckets: OrderedDict[bytes, TokenBucket] = OrderedDict()

    def allows(self, key: bytes) -> bool:
        """Take one from the bucket of `key`; False when it is empty."""
        bucket = self._buckets.setdefault(key, TokenBucket(self._rate, self._burst))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        return bucket.try_take(monotonic())


def batch_routes(
    mailbox: IngestQueue, limit: RequestRateLimit | None = None
) -> tuple[BaseRoute, ...]:
    """Return the routes for batches, presence and the drain rate, which end in `mailbox`."""
    doors = IngestEndpoints(mailbox, limit or RequestRateLimit())
    return (
        Route(BATCHES_PATH, doors.batches, methods=["POST"]),
        Route(PRESENCE_PATH, doors.presence, methods=["POST"]),
        Route(RATE_ADVICE_PATH, doors.drain, methods=["GET"]),
    )


class IngestEndpoints:
    """The endpoints."""

    def __init__(self, mailbox: IngestQueue, limit: RequestRateLimit) -> None:
        self._mailbox = mailbox
        self._limit = limit

    async def batches(self, request: Request) -> Response:
        """Keep a signed batch and answer with its signed acknowledgement."""
        return await self._take(request, BATCH, MAX_MESSAGE_BYTES, batch_topic)

    async def presence(self, request: Request) -> Response:
        """Take in what an agent says about its being there."""
        return await self._take(request, PRESENCE, _LARGEST_PRESENCE, presence_topic)

    async def drain(self, _: Request) -> Response:
        """Say how fast agents may send."""
        said = self._mailbox.rate_advice
        return Response(status_code=204, headers=_HEADERS) if said is None else _message(said)

    async def _take(
        self, request: Request, purpose: bytes, largest: int, topic: Callable[[str], str]
    ) -> Response:
        """Hand a signed message to the collector, if there is nothing against it."""
        agent = request.headers.get(AGENT_HEADER, "")
        body = await read_body(request, limit=largest)
        if body is None:
            return _refuse(413, f"At most {largest} bytes, and at once.")
        try:
            _, key = open_signed(body, purpose)
        except InputError:
            key = None
        if key is None or not is_agent_id(agent):
            return _refuse(400, "Not signed by an agent.")
        if not self._limit.allows(key):
            return _refuse(429, "Too many at once.", wait=5)
        try:
            answer = await self._mailbox.deliver(Message(topic(agent), body), within=_ANSWER_WITHIN)
        except TransportError:
            return _refuse(503, "Nothing can be taken right now.", wait=5)
        if answer is None:
            # A batch that nobody answered for may come again; presence has no answer.
            return Response(status_code=202 if purpose == BATCH else 204, headers=_HEADERS)
        return _message(answer)


def _message(body: bytes) -> Response:
    return Response(body, media_type=MEDIA_TYPE, headers=_HEADERS)


def _refuse(status: int, text: str, *, wait: int = 0) -> Response:
    """Say no, in words for whoever looks."""
    headers = {**_HEADERS, "Retry-After": str(wait)} if wait else _HEADERS
    return Response(text + "\n", status, headers, media_type="text/plain")

"""HTTP API for agents: batches, presence, rate advice, the target list, and enrollment.

No address of a client is read, stored or logged: rate limits of ingest are per signing key.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from time import monotonic

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from netwatch.aio.token_bucket import TokenBucket
from netwatch.app.fleet_admin import make_enrollment_service
from netwatch.app.target_list_publisher import read_published
from netwatch.collector.enrollment_service import EnrollmentService
from netwatch.collector.ingest_queue import IngestQueue
from netwatch.config import Config
from netwatch.model.errors import InputError, StoreError, TransportError
from netwatch.model.measurement import Batch
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.enrollment import (
    ENROLLMENT_PATH,
    ERASURE_PATH,
    KEY_CHANGE_PATH,
    MAX_REQUEST_BYTES,
    TARGET_LIST_PATH,
)
from netwatch.wire.https import (
    AGENT_HEADER,
    BATCHES_PATH,
    MEDIA_TYPE,
    PRESENCE_PATH,
    RATE_ADVICE_PATH,
)
from netwatch.wire.message_format import MessageFormat
from netwatch.wire.presence_message import PRESENCE, PresenceMessage
from netwatch.wire.topics import batch_topic, is_agent_id, presence_topic

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_BODY_TIMEOUT = 20.0
"""Seconds in which a body must arrive; an agent's is a few packets."""
_ACK_TIMEOUT = 10.0
"""Seconds in which the collector must acknowledge."""
_INGEST_RATE, _INGEST_BURST = 32.0, 64.0
"""Messages per second and at once of one key; a spool is sent at 16 per second."""
_ENROLLMENT_RATE, _ENROLLMENT_BURST = 10.0, 100.0
"""Requests per second and at once of all agents that enroll."""
_MAX_KEYS = 10_000
"""Keys with a bucket of their own; about 2 MB."""


class KeyedRateLimit:
    """One token bucket per key; the least recently used is dropped beyond `_MAX_KEYS`."""

    def __init__(self, *, rate: float, burst: float) -> None:
        self._bucket = lru_cache(_MAX_KEYS)(lambda _key: TokenBucket(rate, burst))

    def allows(self, key: bytes) -> bool:
        """Take a token from the bucket of `key`; False if it has none."""
        return self._bucket(key).try_take(monotonic())


def agent_routes(config: Config, queue: IngestQueue) -> tuple[BaseRoute, ...]:
    """Return all routes for agents; their paths begin with `/v1/`."""
    return (
        *enrollment_routes(make_enrollment_service(config)),
        target_list_route(lambda: read_published(config)),
        *ingest_routes(queue),
    )


def target_list_route(read: Callable[[], bytes | None]) -> BaseRoute:
    """Return the route of the target list, for agents without a broker."""

    async def endpoint(_request: Request) -> Response:
        message = await asyncio.to_thread(read)
        if message is None:
            return _error(404, "There is no target list.")
        return Response(message, headers=_HEADERS, media_type="application/octet-stream")

    return Route(TARGET_LIST_PATH, endpoint)


def enrollment_routes(
    service: EnrollmentService, *, limit: TokenBucket | None = None
) -> tuple[BaseRoute, ...]:
    """Return the routes for enrollment, key change and erasure.

    They share one rate limit, because their clients have no verified key yet.
    """
    bucket = limit or TokenBucket(_ENROLLMENT_RATE, _ENROLLMENT_BURST)
    handlers = {
        ENROLLMENT_PATH: service.enroll,
        KEY_CHANGE_PATH: service.change_key,
        ERASURE_PATH: service.erase,
    }
    return tuple(
        Route(path, partial(_enrollment_response, handle, bucket), methods=["POST"])
        for path, handle in handlers.items()
    )


async def _enrollment_response(
    handle: Callable[[bytes], bytes], bucket: TokenBucket, request: Request
) -> Response:
    if not bucket.try_take(monotonic()):
        return _error(429, "Too many requests. Try again in a minute.")
    body = await _read_body(request, limit=MAX_REQUEST_BYTES)
    if body is None:
        return _error(413, "The request is too large or too slow.")
    try:
        answer = await asyncio.to_thread(handle, body)
    except InputError:
        return _error(400, "The request is not valid here.")
    except StoreError:
        return _error(503, "The service is unavailable. Try again in a minute.")
    return Response(answer, headers=_HEADERS, media_type="application/octet-stream")


def ingest_routes(queue: IngestQueue, limit: KeyedRateLimit | None = None) -> tuple[BaseRoute, ...]:
    """Return the routes for batches, presence and rate advice, which feed `queue`."""
    limit = limit or KeyedRateLimit(rate=_INGEST_RATE, burst=_INGEST_BURST)
    deliver = partial(_deliver, queue, limit)

    async def rate_advice(_: Request) -> Response:
        advice = queue.rate_advice
        return Response(status_code=204, headers=_HEADERS) if advice is None else _message(advice)

    return (
        Route(BATCHES_PATH, partial(deliver, BATCH), methods=["POST"]),
        Route(PRESENCE_PATH, partial(deliver, PRESENCE), methods=["POST"]),
        Route(RATE_ADVICE_PATH, rate_advice, methods=["GET"]),
    )


async def _deliver(
    queue: IngestQueue,
    limit: KeyedRateLimit,
    kind: MessageFormat[Batch] | MessageFormat[PresenceMessage],
    request: Request,
) -> Response:
    """Check a signed message, pass it to the collector, and return the acknowledgement."""
    agent = request.headers.get(AGENT_HEADER, "")
    is_batch = kind is BATCH
    body = await _read_body(request, limit=kind.limit)
    if body is None:
        return _error(413, f"The limit is {kind.limit} bytes in {_BODY_TIMEOUT:.0f} s.")
    try:
        _, key = kind.verify(body)
    except InputError:
        key = None
    if key is None or not is_agent_id(agent):
        return _error(400, "Not signed by an agent.")
    if not limit.allows(key):
        return _error(429, "Too many requests.", retry_after=5)
    topic = batch_topic(agent) if is_batch else presence_topic(agent)
    try:
        ack = await queue.deliver(Message(topic, body), within=_ACK_TIMEOUT)
    except TransportError:
        return _error(503, "The collector is unavailable.", retry_after=5)
    if ack is None:
        # An unacknowledged batch may be sent again; presence is never acknowledged.
        return Response(status_code=202 if is_batch else 204, headers=_HEADERS)
    return _message(ack)


async def _read_body(request: Request, *, limit: int) -> bytes | None:
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return bytes(body)


def _message(body: bytes) -> Response:
    return Response(body, media_type=MEDIA_TYPE, headers=_HEADERS)


def _error(status: int, text: str, *, retry_after: int = 0) -> Response:
    headers = {**_HEADERS, "Retry-After": str(retry_after)} if retry_after else _HEADERS
    return Response(text + "\n", status, headers, media_type="text/plain")

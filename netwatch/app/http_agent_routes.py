"""HTTP API for agents: batches, presence, rate advice, the target list, and enrollment.

No address of a client is read, stored or logged: rate limits of ingest are per signing key.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from netwatch.app.fleet_admin import collector_identity, make_enrollment_service, open_registry
from netwatch.app.http_canary_route import canary_route
from netwatch.app.http_enrollment_routes import enrollment_allowances, enrollment_routes
from netwatch.app.http_messages import BODY_SECONDS, HEADERS, error_response, read_body
from netwatch.app.sender_limits import Allowances, SenderLimits
from netwatch.app.target_list_publisher import read_published
from netwatch.app.wall_clock import now
from netwatch.collector.canary import canary_secret
from netwatch.collector.ingest_queue import IngestQueue
from netwatch.collector.known_senders import KnownSenders
from netwatch.config import Config
from netwatch.model.errors import InputError, TransportError
from netwatch.model.measurement import Batch
from netwatch.protocols import Message
from netwatch.wire.batch_codec import BATCH
from netwatch.wire.enrollment import TARGET_LIST_PATH
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

_ACK_TIMEOUT = 10.0
"""Seconds in which the collector must acknowledge."""


def agent_routes(
    config: Config, queue: IngestQueue, *, count: Callable[[str], None] = lambda _reason: None
) -> tuple[BaseRoute, ...]:
    """Return all routes for agents; their paths begin with `/v1/`.

    `count` is called with the reason of each refusal for a rate limit.
    """
    senders = KnownSenders(partial(open_registry, config))
    return (
        *enrollment_routes(make_enrollment_service(config), enrollment_allowances(count)),
        target_list_route(lambda: read_published(config)),
        canary_route(canary_secret(collector_identity(config).signer), now),
        *ingest_routes(queue, SenderLimits(senders.standing, Allowances(count=count))),
    )


def target_list_route(read: Callable[[], bytes | None]) -> BaseRoute:
    """Return the route of the target list, for agents without a broker."""

    async def endpoint(_request: Request) -> Response:
        message = await asyncio.to_thread(read)
        if message is None:
            return error_response(404, "There is no target list.")
        return Response(message, headers=HEADERS, media_type="application/octet-stream")

    return Route(TARGET_LIST_PATH, endpoint)


def ingest_routes(queue: IngestQueue, limits: SenderLimits) -> tuple[BaseRoute, ...]:
    """Return the routes for batches, presence and rate advice, which feed `queue`."""
    deliver = partial(_deliver, queue, limits)

    async def rate_advice(_: Request) -> Response:
        advice = queue.rate_advice
        return Response(status_code=204, headers=HEADERS) if advice is None else _message(advice)

    return (
        Route(BATCHES_PATH, partial(deliver, BATCH), methods=["POST"]),
        Route(PRESENCE_PATH, partial(deliver, PRESENCE), methods=["POST"]),
        Route(RATE_ADVICE_PATH, rate_advice, methods=["GET"]),
    )


async def _deliver(
    queue: IngestQueue,
    limits: SenderLimits,
    kind: MessageFormat[Batch] | MessageFormat[PresenceMessage],
    request: Request,
) -> Response:
    """Check a signed message, pass it to the collector, and return the acknowledgement."""
    agent = request.headers.get(AGENT_HEADER, "")
    is_batch = kind is BATCH
    body = await read_body(request, limit=kind.limit)
    if body is None:
        return error_response(413, f"The limit is {kind.limit} bytes in {BODY_SECONDS:.0f} s.")
    try:
        _, key = kind.verify(body)
    except InputError:
        key = None
    if key is None or not is_agent_id(agent):
        return error_response(400, "Not signed by an agent.")
    if not await limits.allows(agent, key):
        return error_response(429, "Too many requests.", retry_after=5)
    topic = batch_topic(agent) if is_batch else presence_topic(agent)
    try:
        ack = await queue.deliver(Message(topic, body), within=_ACK_TIMEOUT)
    except TransportError:
        return error_response(503, "The collector is unavailable.", retry_after=5)
    if ack is None:
        # An unacknowledged batch may be sent again; presence is never acknowledged.
        return Response(status_code=202 if is_batch else 204, headers=HEADERS)
    return _message(ack)


def _message(body: bytes) -> Response:
    return Response(body, media_type=MEDIA_TYPE, headers=HEADERS)

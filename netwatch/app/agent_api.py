"""The doors for agents in the HTTP service: what agents may ask and bring over HTTPS.

Each part of the observatory that talks to agents over HTTP makes its own routes; this is the
one list of them, which every process that serves HTTP takes up.
"""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from netwatch.app.batches import RequestRateLimit, batch_routes
from netwatch.app.bodies import read_body
from netwatch.app.fleet_admin import make_enrollment_service
from netwatch.app.observatory import ObservatoryContext
from netwatch.app.target_list_publisher import read_published
from netwatch.collector.enrollment_service import EnrollmentService
from netwatch.model.errors import InputError, StoreError
from netwatch.wire.enrollment import (
    ENROLLMENT_PATH,
    ERASURE_PATH,
    KEY_CHANGE_PATH,
    MAX_REQUEST_BYTES,
    TARGET_LIST_PATH,
)

_RATE, _BURST = 10.0, 100.0
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def agent_routes(opened: ObservatoryContext) -> tuple[BaseRoute, ...]:
    """Return the routes that are for agents; all of them lie under `/v1/`.

    Raises:
        ConfigError: a key cannot be read or made.
    """
    config = opened.config
    return (
        *enrollment_routes(make_enrollment_service(config)),
        target_list_route(lambda: read_published(config)),
        *batch_routes(opened.mailbox),
    )


def target_list_route(read: Callable[[], bytes | None]) -> BaseRoute:
    """Return the route by which agents ask for the target list, for when no broker brings it."""

    async def endpoint(_request: Request) -> Response:
        message = await asyncio.to_thread(read)
        if message is None:
            return _refusal(404, "There is no target list.")
        return Response(message, headers=_HEADERS, media_type="application/octet-stream")

    return Route(TARGET_LIST_PATH, endpoint)


def enrollment_routes(
    desk: EnrollmentService, *, limit: RequestRateLimit | None = None
) -> tuple[BaseRoute, ...]:
    """Return the routes by which agents enroll, change their key, and are forgotten.

    All share one limit: nobody is known yet who could have one of his own, and batches must
    come in while somebody knocks at these doors.
    """
    limit = limit or RequestRateLimit(rate=_RATE, burst=_BURST)
    return (
        Route(ENROLLMENT_PATH, _door(desk.enroll, limit), methods=["POST"]),
        Route(KEY_CHANGE_PATH, _door(desk.change_key, limit), methods=["POST"]),
        Route(ERASURE_PATH, _door(desk.erase, limit), methods=["POST"]),
    )


def _door(
    answer: Callable[[bytes], bytes], limit: RequestRateLimit
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that hands bodies to `answer`, which blocks."""

    async def endpoint(request: Request) -> Response:
        if not limit.allows(b""):
            return _refusal(429, "Too many at once. Try again in a minute.")
        body = await read_body(request, limit=MAX_REQUEST_BYTES)
        if body is None:
            return _refusal(413, "That is too much, or too slow.")
        try:
            said = await asyncio.to_thread(answer, body)
        except InputError:
            return _refusal(400, "That is no request that was meant for us.")
        except StoreError:
            return _refusal(503, "This cannot be done just now. Try again in a minute.")
        return Response(said, headers=_HEADERS, media_type="application/octet-stream")

    return endpoint


def _refusal(status: int, words: str) -> Response:
    """Return a status and a line of words."""
    return Response(words + "\n", status, _HEADERS, media_type="text/plain")

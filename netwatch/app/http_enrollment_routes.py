"""HTTP API of enrollment, key change and erasure.

A request is read and its sender looked up before any rate limit counts. The holder of an invitation
or of an enrolled agent's key has an allowance of its own, which nobody else can use up.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from netwatch.aio.executor import SingleThreadExecutor
from netwatch.app.http_messages import HEADERS, error_response, read_body
from netwatch.app.sender_limits import Allowances, KeyedRateLimit
from netwatch.collector.agent_tables import Standing
from netwatch.collector.enrollment_service import AgentCall, EnrollmentService
from netwatch.model.errors import InputError, StoreError
from netwatch.wire.enrollment import (
    ENROLLMENT_PATH,
    ERASURE_PATH,
    KEY_CHANGE_PATH,
    MAX_REQUEST_BYTES,
)

_RATE, _BURST = 0.2, 10.0
"""Requests per second and at once of one token or key; an agent repeats a lost one."""
_SHARED = {Standing.OPEN: (0.5, 20.0), Standing.NEW: (10.0, 100.0)}
"""The same for all that were never invited; a refusal costs a signature, an erasure a second."""
_WORKERS = 4
"""Requests that are granted at once by each route; an erasure may wait seconds for the broker."""


def enrollment_routes(
    service: EnrollmentService, allowances: Allowances | None = None
) -> tuple[BaseRoute, ...]:
    """Return the routes for enrollment, key change and erasure."""
    allowances = allowances or enrollment_allowances()
    reader = SingleThreadExecutor("enrollment")
    readers = {
        ENROLLMENT_PATH: service.read_enrollment,
        KEY_CHANGE_PATH: service.read_key_change,
        ERASURE_PATH: service.read_erasure,
    }
    return tuple(
        Route(path, _Desk(read, reader, allowances).respond, methods=["POST"])
        for path, read in readers.items()
    )


def enrollment_allowances(count: Callable[[str], None] = lambda _reason: None) -> Allowances:
    """Return what may be requested; `count` is called with the reason of each refusal."""
    each = KeyedRateLimit(rate=_RATE, burst=_BURST)
    return Allowances(each=each, shared=_SHARED, count=count)


class _Desk:
    """One kind of request: it is read in the thread of all, and granted in threads of its own."""

    def __init__(
        self,
        read: Callable[[bytes], AgentCall],
        reader: SingleThreadExecutor,
        allowances: Allowances,
    ) -> None:
        self._read, self._reader, self._allowances = read, reader, allowances
        self._workers = ThreadPoolExecutor(_WORKERS, "enrollment")

    async def respond(self, request: Request) -> Response:
        body = await read_body(request, limit=MAX_REQUEST_BYTES)
        if body is None:
            return error_response(413, "The request is too large or too slow.")
        try:
            call = await self._reader.run(self._read, body)
            if not self._allowances.allows(call.sender, call.standing):
                return error_response(429, "Too many requests. Try again in a minute.")
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._workers, call.grant)
        except InputError:
            return error_response(400, "The request is not valid here.")
        except StoreError:
            return error_response(503, "The service is unavailable. Try again in a minute.")
        return Response(answer, headers=HEADERS, media_type="application/octet-stream")

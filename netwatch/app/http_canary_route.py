"""HTTP route of the canaries: pages that prove that an agent measures."""

import re

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from netwatch.collector.canary import canary_page
from netwatch.model.canary import CANARY_PATH
from netwatch.protocols import Clock

_NAME = re.compile(r"[0-9a-f]{32}")
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def canary_route(secret: bytes, clock: Clock) -> BaseRoute:
    """Return the route; it computes every answer and stores nothing."""

    async def endpoint(request: Request) -> Response:
        name: str = request.path_params["name"]
        if not _NAME.fullmatch(name):
            return Response("Not found.\n", 404, _HEADERS, media_type="text/plain")
        page = canary_page(secret, name, clock())
        return Response(b"." * page.size, page.status, _HEADERS, media_type="text/plain")

    return Route(CANARY_PATH + "{name}", endpoint)

"""The public pages and the JSON beside them, as one Starlette application."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from netwatch.model.entities import Entity, EntityTree
from netwatch.model.errors import InputError, StoreError
from netwatch.protocols import Clock, Ledger, Outbox, SeriesStore
from netwatch.web.api import ApiProblem, health_object, incident_list, incident_record, timeseries
from netwatch.web.views import PageBuilder

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_STYLE = Path(__file__).parent / "static" / "style.css"


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What a site may vary.

    Attributes:
        url: root under which the public reaches the site, for links in JSON.
        test: whether this is a drill; every page then says so first.
        outbox: where posts are read from, None to leave them out.
        doors: routes besides the site's own, such as those for agents.
    """

    url: str = ""
    test: bool = False
    outbox: Outbox | None = None
    doors: tuple[BaseRoute, ...] = ()


def create_app(
    store: SeriesStore,
    ledger: Ledger,
    *,
    places: EntityTree,
    clock: Clock,
    options: WebOptions | None = None,
) -> Starlette:
    """Return the site over `store` and `ledger`; it reads and never writes.

    No page needs JavaScript or asks anything of another host.
    """
    options = options or WebOptions()
    desk = PageBuilder(store, ledger, places=places, clock=clock, outbox=options.outbox)
    site = _Site(desk, options)
    return Starlette(
        routes=[
            Route("/", site.front),
            Route("/i/{number}.json", site.incident_json),
            Route("/i/{number}", site.incident),
            Route("/p/{kind}/{code}", site.place),
            Route("/style.css", site.style),
            Route("/v1/incidents", site.incident_list),
            Route("/v1/incidents/{number}", site.incident_json),
            Route("/v1/timeseries/{kind}/{code}", site.timeseries),
            Route("/v1/health", site.health),
            *options.doors,
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={
            HTTPException: site.refuse,
            StoreError: site.unreadable,
            ApiProblem: site.problem,
        },
    )


class _Site:
    """The endpoints. They are plain functions, so that Starlette runs them off the loop."""

    def __init__(self, desk: PageBuilder, options: WebOptions) -> None:
        self._desk = desk
        self._options = options
        self._templates = Environment(
            loader=PackageLoader("netwatch.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._css = _STYLE.read_bytes()

    def front(self, request: Request) -> Response:
        return self._page(request, "front.html", page=self._desk.front())

    def incident(self, request: Request) -> Response:
        view = self._desk.incident(request.path_params["number"])
        if view is None:
            raise HTTPException(404)
        if view.incident.parent is not None:
            return RedirectResponse(f"/i/{view.incident.parent}", 301, headers=_HEADERS)
        return self._page(request, "incident.html", page=view)

    def place(self, request: Request) -> Response:
        view = self._desk.place(_entity(request))
        if view is None:
            raise HTTPException(404)
        return self._page(request, "place.html", page=view)

    def style(self, request: Request) -> Response:
        return _reply(request, self._css, "text/css")

    def incident_json(self, request: Request) -> Response:
        answer = incident_record(
            self._desk,
            request.path_params["number"],
            revision=request.query_params.get("revision"),
            url=self._options.url,
            test=self._options.test,
        )
        return _json(request, answer)

    def incident_list(self, request: Request) -> Response:
        make = partial(incident_list, url=self._options.url, test=self._options.test)
        return _json(request, make(self._desk, dict(request.query_params)))

    def timeseries(self, request: Request) -> Response:
        answer = timeseries(self._desk, _entity(request), dict(request.query_params))
        return _json(request, answer)

    def health(self, request: Request) -> Response:
        return _json(request, health_object(self._desk))

    def refuse(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if request.url.path.startswith("/v1/"):
            return _problem(status, "There is nothing here.")
        words = "There is no such page." if status == 404 else "This cannot be done here."
        return self._page(request, "error.html", status=status, words=words)

    def unreadable(self, request: Request, _error: Exception) -> Response:
        words = "The record cannot be read just now. Try again in a minute."
        if request.url.path.startswith("/v1/"):
            return _problem(503, words)
        return self._page(request, "error.html", status=503, words=words)

    def problem(self, _request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, ApiProblem) else 500
        return _problem(status, str(error))

    def _page(
        self, request: Request, name: str, *, status: int = 200, **values: object
    ) -> Response:
        values |= {"test": self._options.test, "status": status}
        text = self._templates.get_template(name).render(values)
        return _reply(request, text.encode(), "text/html", status=status)


def _entity(request: Request) -> Entity:
    """Return the entity that the path names, 404 for a form that no entity has."""
    try:
        return Entity.parse(f"{request.path_params['kind']}:{request.path_params['code']}")
    except InputError as error:
        raise HTTPException(404) from error


def _json(request: Request, value: object) -> Response:
    response = _reply(request, msgspec.json.encode(value), "application/json")
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def _problem(status: int, words: str) -> Response:
    """Return an error after RFC 9457."""
    body = {"type": "about:blank", "status": status, "title": words}
    return Response(
        msgspec.json.encode(body), status, _HEADERS, media_type="application/problem+json"
    )


def _reply(request: Request, body: bytes, kind: str, *, status: int = 200) -> Response:
    """Return `body` with the site's headers, or 304 where the reader has it already."""
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = _HEADERS | {"ETag": tag}
    if status == 200 and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers, media_type=kind)

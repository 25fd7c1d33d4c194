"""The website and its JSON API as one Starlette application."""

import hashlib
from collections.abc import Callable
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
from starlette.routing import Route

from netwatch.ledger.ledger import SqlLedger
from netwatch.model.entities import EntityTree
from netwatch.model.errors import StoreError
from netwatch.protocols import Clock, SeriesStore
from netwatch.publish.time_format import utc_text
from netwatch.web.api import ApiProblem, JsonApi, path_entity
from netwatch.web.options import WebOptions
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


def create_app(
    store: SeriesStore,
    ledger: SqlLedger,
    *,
    tree: EntityTree,
    clock: Clock,
    options: WebOptions | None = None,
) -> Starlette:
    """Return the site over `store` and `ledger`, which it only reads.

    No page needs JavaScript or anything from another host.
    """
    options = options or WebOptions()
    pages = PageBuilder(store, ledger, tree=tree, clock=clock, options=options)
    site, api = _Site(pages, options), JsonApi(pages, options)
    return Starlette(
        routes=[
            Route("/", site.front),
            Route("/i/{number}.json", _as_json(api.incident)),
            Route("/i/{number}", site.incident),
            Route("/p/{kind}/{code}", site.place),
            Route("/style.css", site.style),
            Route("/v1/incidents", _as_json(api.incidents)),
            Route("/v1/incidents/{number}", _as_json(api.incident)),
            Route("/v1/timeseries/{kind}/{code}", _as_json(api.timeseries)),
            Route("/v1/health", _as_json(api.health)),
            *options.extra_routes,
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={
            HTTPException: site.http_error,
            StoreError: site.store_error,
            ApiProblem: site.api_problem,
        },
    )


def make_environment(options: WebOptions) -> Environment:
    """Return the templates of pages; `t` in them is a text of the site's language."""
    environment = Environment(
        loader=PackageLoader("netwatch.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "t": options.language.text,
        "language": options.language,
        "drill": options.drill,
        "utc": partial(utc_text, language=options.language),
    }
    return environment


class _Site:
    """The endpoints: plain functions, so that Starlette runs them off the event loop."""

    def __init__(self, pages: PageBuilder, options: WebOptions) -> None:
        self._pages = pages
        self._options = options
        self._templates = make_environment(options)
        self._css = _STYLE.read_bytes()

    def front(self, request: Request) -> Response:
        return self._page(request, "front.html", page=self._pages.front())

    def incident(self, request: Request) -> Response:
        revisions = self._pages.public_revisions(request.path_params["number"])
        if not revisions:
            raise HTTPException(404)
        parent = revisions[-1].merged_into
        if parent is not None:
            return RedirectResponse(f"/i/{parent}", 301, headers=_HEADERS)
        return self._page(request, "incident.html", page=self._pages.incident(revisions))

    def place(self, request: Request) -> Response:
        page = self._pages.place(path_entity(request))
        if page is None:
            raise HTTPException(404)
        return self._page(request, "place.html", page=page)

    def style(self, request: Request) -> Response:
        return _reply(request, self._css, "text/css")

    def http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self._error(request, status, "no_such_page" if status == 404 else "not_possible")

    def store_error(self, request: Request, _error: Exception) -> Response:
        return self._error(request, 503, "unreadable")

    def api_problem(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiProblem), "the handler of this class"
        return _problem(error.status_code, error.detail)

    def _error(self, request: Request, status: int, name: str) -> Response:
        text = self._options.language.text(name)
        if request.url.path.startswith("/v1/"):
            return _problem(status, text)
        return self._page(request, "error.html", status=status, text=text)

    def _page(
        self, request: Request, name: str, *, status: int = 200, **values: object
    ) -> Response:
        html = self._templates.get_template(name).render(status=status, **values)
        return _reply(request, html.encode(), "text/html", status=status)


def _as_json(endpoint: Callable[[Request], object]) -> Callable[[Request], Response]:
    """Return an endpoint that responds with the values of `endpoint`, open to every origin."""

    def respond(request: Request) -> Response:
        response = _reply(request, msgspec.json.encode(endpoint(request)), "application/json")
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return respond


def _problem(status: int, title: str) -> Response:
    body = {"type": "about:blank", "status": status, "title": title}
    return Response(
        msgspec.json.encode(body), status, _HEADERS, media_type="application/problem+json"
    )


def _reply(request: Request, body: bytes, kind: str, *, status: int = 200) -> Response:
    """Return `body` with the site's headers, or 304 if the client already has it."""
    tag = f'W/"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers = _HEADERS | {"ETag": tag}
    if status == 200 and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, status, headers, media_type=kind)

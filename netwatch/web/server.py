"""The website and its JSON API as one Starlette application."""

import hashlib
from collections.abc import Callable, Sequence
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

from netwatch.model.errors import StoreError
from netwatch.publish.language import Language
from netwatch.publish.time_format import utc_text
from netwatch.web.api import ApiProblem, JsonApi, path_entity
from netwatch.web.site_context import SiteContext
from netwatch.web.view_models import PageBuilder

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


def create_app(context: SiteContext, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the site; `extra_routes`, such as those for agents, are added to its own.

    No page needs JavaScript or anything from another host.
    """
    pages = PageBuilder(context)
    site, api = _Site(pages), JsonApi(pages)
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
            *extra_routes,
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={
            HTTPException: site.http_error,
            StoreError: site.store_error,
            ApiProblem: site.api_problem,
        },
    )


def make_environment(language: Language, *, drill: bool = False) -> Environment:
    """Return the templates of pages; `t` in them is a text of the site's language."""
    environment = Environment(
        loader=PackageLoader("netwatch.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "t": language.text,
        "language": language,
        "drill": drill,
        "utc": partial(utc_text, language=language),
    }
    return environment


class _Site:
    """The endpoints: plain functions, so that Starlette runs them off the event loop."""

    def __init__(self, pages: PageBuilder) -> None:
        self._pages = pages
        self._templates = make_environment(pages.language, drill=pages.context.drill)
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
        text = self._pages.language.text(name)
        # `request.url` would be built from the Host header.
        if request.scope["path"].startswith("/v1/"):
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

"""The website and its JSON API as one Starlette application."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from netwatch.model.entities import Entity
from netwatch.model.errors import BusyError, StoreError
from netwatch.publish.language import Language
from netwatch.publish.time_format import utc_text
from netwatch.web.api import (
    INCIDENT_QUERY,
    INCIDENTS_QUERY,
    LEVELS_QUERY,
    ApiProblem,
    JsonApi,
    path_entity,
)
from netwatch.web.page_cache import PageCache, Rendered, SharedCheck
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
    "Vary": "Accept-Encoding",
}
_FRESH = {"Cache-Control": "public, max-age=10"}
"""Readers and proxies may show a page for 10 seconds; an interval has 300."""
_STYLE = Path(__file__).parent / "static" / "style.css"


def create_app(context: SiteContext, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """Return the site; `extra_routes`, such as those for agents, are added to its own.

    No page needs JavaScript or anything from another host.
    """
    pages = PageBuilder(context)
    check = SharedCheck(pages.version)
    site, api = _Site(pages, PageCache(check, "web-page")), JsonApi(pages)
    as_json = partial(_as_json, PageCache(check, "web-api"))
    incident = as_json(api.incident, INCIDENT_QUERY)
    return Starlette(
        routes=[
            Route("/", site.front),
            Route("/i/{number}.json", incident),
            Route("/i/{number}", site.incident),
            Route("/p/{kind}/{code}", site.place),
            Route("/style.css", site.style),
            Route("/v1/incidents", as_json(api.incidents, INCIDENTS_QUERY)),
            Route("/v1/incidents/{number}", incident),
            Route("/v1/timeseries/{kind}/{code}", as_json(api.timeseries, LEVELS_QUERY)),
            Route("/v1/health", as_json(api.health, ())),
            *extra_routes,
        ],
        exception_handlers={
            HTTPException: site.http_error,
            StoreError: site.store_error,
            BusyError: site.busy,
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
    """The endpoints of pages, and the responses to errors."""

    def __init__(self, pages: PageBuilder, cache: PageCache) -> None:
        self._pages, self._cache = pages, cache
        self._templates = make_environment(pages.language, drill=pages.context.drill)
        self._css = Rendered.of(_STYLE.read_bytes(), "text/css")
        self._listed = {info.entity for info in pages.tree}
        self._errors: dict[tuple[int, str], Rendered] = {}

    async def front(self, request: Request) -> Response:
        page = await self._cache.get("/", self._render_front, is_listed=True)
        return _reply(request, page)

    async def incident(self, request: Request) -> Response:
        number = request.path_params["number"]
        try:
            page = await self._cache.get(("i", number), partial(self._render_incident, number))
        except _MergedError as error:
            return RedirectResponse(f"/i/{error}", 301, headers=_HEADERS)
        return _reply(request, page)

    async def place(self, request: Request) -> Response:
        entity = path_entity(request)
        render = partial(self._render_place, entity)
        page = await self._cache.get(entity, render, is_listed=entity in self._listed)
        return _reply(request, page)

    async def style(self, request: Request) -> Response:
        return _reply(request, self._css)

    async def http_error(self, request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return self._error(request, status, "no_such_page" if status == 404 else "not_possible")

    async def store_error(self, request: Request, _error: Exception) -> Response:
        return self._error(request, 503, "unreadable")

    async def busy(self, request: Request, _error: Exception) -> Response:
        response = self._error(request, 503, "not_possible")
        response.headers["Retry-After"] = "5"
        return response

    async def api_problem(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiProblem), "the handler of this class"
        return _problem(error.status_code, error.detail)

    def _render_front(self) -> Rendered:
        return self._render("front.html", page=self._pages.front())

    def _render_incident(self, number: str) -> Rendered:
        revisions = self._pages.public_revisions(number)
        if not revisions:
            raise HTTPException(404)
        parent = revisions[-1].merged_into
        if parent is not None:
            raise _MergedError(parent)
        return self._render("incident.html", page=self._pages.incident(revisions))

    def _render_place(self, entity: Entity) -> Rendered:
        page = self._pages.place(entity)
        if page is None:
            raise HTTPException(404)
        return self._render("place.html", page=page)

    def _render(self, name: str, *, status: int = 200, **values: object) -> Rendered:
        html = self._templates.get_template(name).render(status=status, **values)
        return Rendered.of(html.encode(), "text/html")

    def _error(self, request: Request, status: int, name: str) -> Response:
        text = self._pages.language.text(name)
        # `request.url` would be built from the Host header.
        if request.scope["path"].startswith("/v1/"):
            return _problem(status, text)
        page = self._errors.get((status, name)) or self._render(
            "error.html", status=status, text=text
        )
        self._errors[status, name] = page
        return _reply(request, page, status=status)


class _MergedError(Exception):
    """Raised for an incident that was merged into another, whose number it carries."""


def _as_json(
    cache: PageCache, endpoint: Callable[[Request], object], parameters: Sequence[str]
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that responds with the values of `endpoint`, open to every origin.

    `parameters` are those of the query that it reads; others make no response of their own.
    """

    async def respond(request: Request) -> Response:
        query = request.query_params
        values = [query.get(one) for one in parameters]
        name: Hashable = (request.scope["path"], *values)
        render = partial(_render_json, endpoint, request)
        # Without a place, an incident or a parameter, there is one response of each endpoint.
        is_listed = not request.path_params and values.count(None) == len(values)
        response = _reply(request, await cache.get(name, render, is_listed=is_listed))
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    return respond


def _render_json(endpoint: Callable[[Request], object], request: Request) -> Rendered:
    return Rendered.of(msgspec.json.encode(endpoint(request)), "application/json")


def _problem(status: int, title: str) -> Response:
    body = {"type": "about:blank", "status": status, "title": title}
    return Response(
        msgspec.json.encode(body), status, _HEADERS, media_type="application/problem+json"
    )


def _reply(request: Request, page: Rendered, *, status: int = 200) -> Response:
    """Return a response with the site's headers, or 304 if the client already has it."""
    headers = _HEADERS | {"ETag": page.tag} | (_FRESH if status == 200 else {})
    known = request.headers.get("if-none-match", "")
    if status == 200 and page.tag in {tag.strip() for tag in known.split(",")}:
        return Response(status_code=304, headers=headers)
    if page.packed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(page.packed, status, headers, media_type=page.media_type)
    return Response(page.body, status, headers, media_type=page.media_type)

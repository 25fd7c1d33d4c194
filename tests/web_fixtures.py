"""A site over a real store and ledger, and the checks that every page passes."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html.parser import HTMLParser
from itertools import pairwise

import httpx
from hourly_levels import hourly_levels

from netwatch.ledger.ledger import SqlLedger
from netwatch.model.entities import EntityTree
from netwatch.model.series import Bin
from netwatch.store.memory import MemoryStore
from netwatch.web.server import create_app
from netwatch.web.site_context import SiteContext

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Parses a page strictly; a tag that is not closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == [], "every tag is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check_page(text: str) -> Page:
    """Check that a page has no script, only local links, labelled pictures, ordered headings."""
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("html")[0]["dir"] == "ltr"
    assert not page.all("script")
    assert not any("style" in attributes for _, attributes in page.tags)
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    links = [tag.get("href") or tag.get("src") for _, tag in page.tags]
    assert all(link[0] in "/#" and not link.startswith("//") for link in links if link)
    pictures = [svg for svg in page.all("svg") if svg.get("aria-hidden") != "true"]
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in pictures)
    names = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(names) == len(set(names)), "ids are unique"
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(page.all("table")) == len(page.all("caption"))
    assert "What this does not show" in page.text
    return page


@dataclass
class Site:
    """A site with its store, ledger and clock; `now` can be changed."""

    store: MemoryStore
    ledger: SqlLedger
    now: datetime
    places: EntityTree
    options: dict[str, object]
    client: httpx.AsyncClient = field(init=False)

    def serve(self) -> httpx.AsyncClient:
        context = SiteContext(
            self.store, self.ledger, self.places, lambda: self.now, **self.options
        )
        app = create_app(context)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://site")

    async def text(self, path: str, status: int = 200) -> str:
        response = await self.client.get(path)
        assert response.status_code == status
        return response.text

    def put(self, entity: str, values: list[float | None], *, until: datetime) -> None:
        """Write hourly levels whose newest interval ends at `until`."""
        start = until - timedelta(hours=len(values))
        levels = hourly_levels(entity, start, values, margin=0.03, networks=12)
        self.store.put_levels(levels)
        bins = [
            Bin(level.time, level.series, level.value * 100, 100.0)
            for level in levels
            if level.value is not None
        ]
        self.store.put_bins(bins, closed_until=until)

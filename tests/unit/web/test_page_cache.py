"""Pages are rendered once for each state of the data, however many readers ask for whatever."""

import asyncio
import gzip
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from web_fixtures import Site

from netwatch.model.errors import BusyError, StoreError
from netwatch.model.incident import Incident
from netwatch.web import page_cache
from netwatch.web.page_cache import PageCache, Rendered, SharedCheck

MakeIncident = Callable[..., Incident]


class Pages:
    """A cache over data whose version a test changes, and renderings that it may hold back."""

    def __init__(self, *, max_bytes: int = 10**6) -> None:
        self.version, self.checks, self.rendered = 0, 0, 0
        self.go = threading.Event()
        self.go.set()
        self.cache = PageCache(SharedCheck(self._check), "test", max_bytes=max_bytes)

    def _check(self) -> int:
        self.checks += 1
        return self.version

    def render(self, text: str = "page") -> Rendered:
        assert self.go.wait(10)
        self.rendered += 1
        return Rendered.of(f"{text} {self.version}".encode(), "text/plain")

    async def get(self, name: str = "/", *, is_listed: bool = False) -> bytes:
        render = self.render
        return (await self.cache.get(name, lambda: render(name), is_listed=is_listed)).body


async def test_readers_at_the_same_time_share_one_rendering_and_one_check() -> None:
    pages = Pages()
    answers = await asyncio.gather(*(pages.get() for _ in range(200)))
    assert set(answers) == {b"/ 0"}
    assert pages.rendered == 1
    assert pages.checks <= 3


async def test_a_new_version_is_shown_to_the_next_reader() -> None:
    pages = Pages()
    for version in range(3):
        pages.version = version
        assert await pages.get() == b"/ %d" % version
    assert pages.rendered == 3


async def test_during_a_rendering_others_get_the_previous_page() -> None:
    pages = Pages()
    await pages.get()
    pages.version = 1
    pages.go.clear()
    first = asyncio.ensure_future(pages.get())
    await asyncio.sleep(0.1)
    assert set(await asyncio.gather(*(pages.get() for _ in range(50)))) == {b"/ 0"}
    pages.go.set()
    assert await first == b"/ 1"
    assert pages.rendered == 2


async def test_the_reader_who_waits_gets_the_previous_page_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_cache, "_PATIENCE", 0.05)
    pages = Pages()
    await pages.get()
    pages.version = 1
    pages.go.clear()
    assert await pages.get() == b"/ 0"
    pages.go.set()


async def test_many_different_responses_neither_fill_nor_block_the_cache() -> None:
    pages = Pages(max_bytes=20_000)
    await pages.get(is_listed=True)
    for number in range(100):
        await pages.get(f"{number}" + "x" * 1000)
        await pages.get()
    assert pages.cache._bytes <= 20_000
    assert len(pages.cache._entries) < 20
    assert pages.rendered == 101
    pages.go.clear()
    waiting = [asyncio.ensure_future(pages.get(f"new{number}")) for number in range(64)]
    await asyncio.sleep(0.1)
    with pytest.raises(BusyError):
        await pages.get("one more")
    listed = asyncio.ensure_future(pages.get("listed", is_listed=True))
    assert await pages.get() == b"/ 0"
    pages.go.set()
    assert await listed == b"listed 0"
    await asyncio.gather(*waiting)


async def test_a_new_version_of_thousands_of_responses_keeps_no_listed_one_waiting() -> None:
    pages = Pages()
    names = [f"{number}" for number in range(300)]
    for name in names:
        await pages.get(name)
    await pages.get(is_listed=True)
    pages.version, pages.rendered = 1, 0
    pages.go.clear()
    waiting = [asyncio.ensure_future(pages.get(name)) for name in names]
    await asyncio.sleep(0.2)
    listed = asyncio.ensure_future(pages.get(is_listed=True))
    await asyncio.sleep(0.2)
    pages.go.set()
    assert await listed == b"/ 1"
    assert pages.rendered <= 65
    assert sum(one.done() for one in waiting) >= 300 - 64
    answers = await asyncio.gather(*waiting)
    assert answers[-1] == b"299 0"


async def test_the_api_without_parameters_is_never_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "_MAX_WAITING", 0)
    for path, status in {
        "/v1/health": 200, "/v1/incidents": 200, "/v1/incidents?min_level=0": 503,
        "/v1/timeseries/country/IR": 503, "/": 200,
    }.items():  # fmt: skip
        assert (await site.client.get(path)).status_code == status, path


async def test_a_failure_reaches_every_reader_who_waits_and_is_not_kept() -> None:
    pages = Pages()

    def fail() -> Rendered:
        raise StoreError("unreadable")

    for _ in range(2):
        results = await asyncio.gather(
            *(pages.cache.get("/", fail) for _ in range(3)), return_exceptions=True
        )
        assert all(isinstance(one, StoreError) for one in results)
    assert await pages.get() == b"/ 0"


async def test_unknown_parameters_render_nothing(
    site: Site, make_incident: MakeIncident, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.put("country:IR", [1.0] * 50, until=make_incident().at)
    site.ledger.record([make_incident()], [])
    rendered: list[int] = []
    of = Rendered.of
    monkeypatch.setattr(Rendered, "of", lambda *args: rendered.append(1) or of(*args))
    paths = (
        "/", "/p/country/IR", "/i/NW-IR-2019-0042", "/i/NW-IR-2019-0042.json", "/v1/incidents",
        "/v1/timeseries/country/IR?since=2019-11-16", "/nowhere",
    )  # fmt: skip
    for path in paths:
        await site.client.get(path)
    assert len(rendered) == len(paths)
    for number in range(20):
        for path in paths:
            mark = "&" if "?" in path else "?"
            response = await site.client.get(
                f"{path}{mark}utm={number}&lang=x{number}",
                headers={"Accept-Language": f"x{number}", "Cookie": f"{number}"},
            )
            assert "set-cookie" not in response.headers
    assert len(rendered) == len(paths)


async def test_pages_are_kept_compressed_and_may_be_shown_again(
    site: Site, make_incident: MakeIncident
) -> None:
    site.put("country:IR", [1.0] * 50, until=make_incident().at)
    plain = await site.client.get("/p/country/IR", headers={"Accept-Encoding": "identity"})
    packed = await site.client.get("/p/country/IR", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, 6, mtime=0))
    assert packed.text == plain.text
    for response in (plain, packed):
        assert response.headers["vary"] == "Accept-Encoding"
        assert response.headers["cache-control"] == "public, max-age=10"
        tags = f'"x", {response.headers["etag"]}'
        again = await site.client.get("/p/country/IR", headers={"If-None-Match": tags})
        assert (again.status_code, again.content) == (304, b"")
    site.put("country:IR", [0.1], until=make_incident().at + timedelta(hours=1))
    again = await site.client.get("/p/country/IR", headers={"If-None-Match": tags})
    assert again.status_code == 200
